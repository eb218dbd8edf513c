"""Git LFS pointers: small texts that a checkout has in place of large files."""

from __future__ import annotations

from pathlib import Path

FETCH = "is a Git LFS pointer: fetch the file itself with `git lfs pull`"


def is_pointer(file: Path) -> bool:
    """Return True if a file is a pointer; it begins with its version (git-lfs, docs/spec.md)."""
    with file.open("rb") as content:
        return content.read(40).startswith(b"version https://git-lfs")
