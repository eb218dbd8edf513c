"""Paths as files of a user's give them."""

from __future__ import annotations

import os
from pathlib import Path


def absolute(folder: Path, path: str) -> str:
    """A path from the folder of the file that gives it, with `~` and environment variables expanded."""
    return os.path.normpath(folder / Path(os.path.expandvars(path)).expanduser())
