"""A real sweep as version 0.1.0 left it: 8 planned runs, of which 5 completed."""

from __future__ import annotations

import tarfile
from pathlib import Path

ARCHIVE = Path(__file__).parents[1] / "fixtures" / "results-0.1.0.tar.gz"


def unpack(folder: Path) -> Path:
    """Unpack its matrix file into a folder and its results into `earlier` in there; returns the latter."""
    extract(ARCHIVE, folder)
    return folder / "earlier"


def extract(file: Path, folder: Path) -> None:
    """Extract an archive, as far as this Python can without believing it: 3.11.2, as of Debian 12, has no filters."""
    with tarfile.open(file) as archive:
        archive.extractall(folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
