from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.documents import SweepFolder


@pytest.fixture
def sweep(tmp_path: Path) -> SweepFolder:
    """An empty sweep of 3 repeats on 1 and 2 nodes."""
    return SweepFolder(tmp_path / "sweep")
