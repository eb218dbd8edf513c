"""Write a pack as a folder or as an archive."""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

from bench.contract.storage.atomic import write_whole
from matrix.errors import InputError

SUFFIXES = (".tar.gz", ".tgz")


def is_archive(out: Path) -> bool:
    """Return True if the name is that of an archive."""
    return out.name.endswith(SUFFIXES)


def write_pack(files: Mapping[str, bytes], name: str, out: Path) -> None:
    """Write the files to a new folder, or to a new archive in whose folder `name` they are.

    The archive holds neither time nor owner, so that equal packs are equal files.

    Raises:
        InputError: `out` exists already.
        OSError: it cannot be written.

    """
    if out.exists():
        raise InputError(f"{out}: already exists: give another name, or remove it")
    out.parent.mkdir(parents=True, exist_ok=True)
    if is_archive(out):
        write_whole(out, _archived(files, name))
        return
    for path, content in files.items():
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        write_whole(out / path, content, durable=False)


def _archived(files: Mapping[str, bytes], name: str) -> bytes:
    packed = BytesIO()
    with (
        gzip.GzipFile(filename="", fileobj=packed, mode="wb", mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path in sorted(files):
            entry = tarfile.TarInfo(f"{name}/{path}")
            entry.size = len(files[path])
            archive.addfile(entry, BytesIO(files[path]))
    return packed.getvalue()
