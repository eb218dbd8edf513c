from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.documents import SweepDocuments


@pytest.fixture
def sweep(tmp_path: Path) -> SweepDocuments:
    """An empty sweep of 3 repeats on 1 and 2 nodes."""
    return SweepDocuments(tmp_path / "sweep")
