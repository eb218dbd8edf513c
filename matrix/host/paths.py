"""Paths given in the user's files."""

from __future__ import annotations

import os
import re
from pathlib import Path


def absolute(folder: Path, path: str) -> str:
    """Return an absolute path, relative to `folder`, with `~` and environment variables expanded."""
    return os.path.normpath(folder / Path(os.path.expandvars(path)).expanduser())


def unset_fault(path: str) -> str:
    """Return what is wrong with a path that has variables which are not set, "" if it has none."""
    unset = unset_variables(path)
    return f"uses {unset}, which is not set in the environment: {path}" if unset else ""


def unset_variables(path: str) -> str:
    """Return the variables in a path that the environment does not have, separated by commas; "" without any."""
    expanded = os.path.expandvars(path)
    return ", ".join(re.findall(r"\$(?:\w+|\{[^}]*\})", expanded)) or ("$" if "$" in expanded else "")
