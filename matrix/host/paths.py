"""Paths given in the user's files."""

from __future__ import annotations

import os
import re
from pathlib import Path


def absolute(folder: Path, path: str) -> str:
    """Return an absolute path, relative to `folder`, with `~` and environment variables expanded."""
    return os.path.normpath(folder / Path(os.path.expandvars(path)).expanduser())


def unset_variables(path: str) -> str:
    """Return the variables in a path that the environment does not have, separated by commas; "" without any."""
    expanded = os.path.expandvars(path)
    return ", ".join(re.findall(r"\$(?:\w+|\{[^}]*\})", expanded)) or ("$" if "$" in expanded else "")
