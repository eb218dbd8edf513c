from __future__ import annotations

from pathlib import Path

import pytest

from bench.contract.run import Run
from tests.support.runs import make_run


@pytest.fixture
def two_rank_run(tmp_path: Path) -> Run:
    """A run of one node of two ranks."""
    return make_run(tmp_path, (1, 1, 2))
