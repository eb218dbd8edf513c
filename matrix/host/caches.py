"""Where what was found out once is kept for this user: `${XDG_CACHE_HOME:-~/.cache}/xffl-bench`."""

from __future__ import annotations

import os
from pathlib import Path


def cache(name: str) -> Path:
    """The folder of one kind of finding; it need not be there."""
    caches = os.environ.get("XDG_CACHE_HOME")
    return (Path(caches) if caches else Path.home() / ".cache") / "xffl-bench" / name
