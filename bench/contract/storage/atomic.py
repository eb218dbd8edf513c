"""Atomic writing of files. Small processes import this module, so it imports nothing heavy."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path

Content = str | bytes | Iterable[str]
"""What a file holds; parts of a text are made while they are written."""

_NO_HARD_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
"""What `link` answers on a file system without hard links, such as FAT, SMB shares and some of FUSE."""


def write_whole(path: Path, content: Content, *, durable: bool = True) -> None:
    """Write a file atomically: a reader sees the old content or the new. Text, also in parts, is encoded as UTF-8.

    With `durable` the content survives a power loss, at the cost of waiting for the disk.

    Raises:
        OSError: the content could not be written; `path` is unchanged.

    """
    beside = _beside(path)
    try:
        _write(beside, content, durable=durable)
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error  # on a full disk the original names no file


def write_new(path: Path, content: str | bytes) -> bool:
    """Write a durable file atomically unless it exists; return True if this call made it.

    Of several processes, also on several hosts, one makes it. On a file system without hard links a reader may see
    the file empty before it is complete.

    Raises:
        OSError: the content could not be written.

    """
    beside = _beside(path)
    try:
        _write(beside, content, durable=True)
        return _link(beside, path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        beside.unlink(missing_ok=True)


def _link(beside: Path, path: Path) -> bool:
    try:
        os.link(beside, path)
    except FileExistsError:
        # NFS repeats a request without a reply, and if the first one was carried out, the second one finds its link.
        return beside.stat().st_nlink > 1 or (path.exists() and beside.samefile(path))
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        except FileExistsError:
            return False
        beside.replace(path)
    return True


def _beside(path: Path) -> Path:
    """Return a temporary name that no other process uses: pids repeat on other hosts and in other namespaces."""
    return path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")


def _write(path: Path, content: Content, *, durable: bool) -> None:
    parts = [content] if isinstance(content, str | bytes) else content
    with path.open("wb") as file:
        for part in parts:
            file.write(part.encode() if isinstance(part, str) else part)
        file.flush()
        if durable:
            os.fsync(file.fileno())
