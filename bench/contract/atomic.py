"""Atomic writing of files. Small processes import this module, so it imports nothing heavy."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, content: str | bytes, *, durable: bool = True) -> None:
    """Write a file atomically: a reader sees the old content or the new. Text is encoded as UTF-8.

    With `durable` the content survives a power loss, at the cost of waiting for the disk.

    Raises:
        OSError: the content could not be written; `path` is unchanged.

    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error  # on a full disk the original names no file
