"""Paths given in the user's files."""

from __future__ import annotations

import os
from pathlib import Path


def absolute(folder: Path, path: str) -> str:
    """Return an absolute path, relative to `folder`, with `~` and environment variables expanded."""
    return os.path.normpath(folder / Path(os.path.expandvars(path)).expanduser())
