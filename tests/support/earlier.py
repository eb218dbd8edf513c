"""A real sweep as version 0.1.0 left it: 8 planned runs, of which 5 completed."""

from __future__ import annotations

import tarfile
from pathlib import Path

ARCHIVE = Path(__file__).parents[1] / "fixtures" / "results-0.1.0.tar.gz"


def unpack(folder: Path) -> Path:
    """Unpack its matrix file into a folder and its results into `earlier` in there; returns the latter."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder / "earlier"
