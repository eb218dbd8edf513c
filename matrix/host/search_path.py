"""PYTHONPATH as it is passed on to processes that are started from here."""

from __future__ import annotations

import os
from collections.abc import Mapping


def search_path(variables: Mapping[str, str] = os.environ) -> str:
    """Return PYTHONPATH with absolute entries, "" without any.

    Empty entries, as in `a::b` or after a trailing colon, are left out: Python takes them for the working directory, in
    which nothing is code.
    """
    entries = variables.get("PYTHONPATH", "").split(os.pathsep)
    return os.pathsep.join(map(os.path.abspath, filter(None, entries)))


def clean_search_path() -> None:
    """Replace PYTHONPATH by `search_path`, for all processes that inherit the environment of this one."""
    if path := search_path():
        os.environ["PYTHONPATH"] = path
    else:
        os.environ.pop("PYTHONPATH", None)
