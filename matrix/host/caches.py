"""The user's cache folder: `${XDG_CACHE_HOME:-~/.cache}/xffl-bench`."""

from __future__ import annotations

import os
from pathlib import Path


def cache(name: str) -> Path:
    """Return the cache folder for one kind of data; it may not exist yet."""
    caches = os.environ.get("XDG_CACHE_HOME")
    return (Path(caches) if caches else Path.home() / ".cache") / "xffl-bench" / name
