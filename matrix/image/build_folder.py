"""Where an image is built: a folder with room, the fastest first."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from matrix.errors import InputError

GIB = 1 << 30
NEEDED = {"cpu": 4 * GIB, "cuda": 30 * GIB, "rocm": 80 * GIB}
"""Bytes that a build may take: the base unpacked, what is installed into it, and the packed image."""

_MEMORY = Path("/dev/shm")


def build_folder(asked: Path | None, out: Path, device: str) -> Path:
    """The folder for what a build leaves behind only while it works.

    One that was asked for is taken as it is; else memory, the folder for temporary files and that of the image.

    Raises:
        InputError: none has room.

    """
    if asked is not None:
        if not asked.is_dir() or not os.access(asked, os.W_OK):
            raise InputError(f"--tmp {asked}: is no folder that can be written to")
        return asked
    needed = NEEDED[device]
    places = [_MEMORY] if _memory() > 2 * needed else []
    places += [Path(tempfile.gettempdir()), out.parent]
    found = next((place for place in places if is_fit(place, needed)), None)
    if found is None:
        room = ", ".join(f"{shutil.disk_usage(place).free / GIB:.1f} GiB in {place}" for place in places)
        raise InputError(
            f"no room to build an image for {device}, which may take {needed // GIB} GiB (free: {room}): "
            "name a folder with --tmp, whose room is not asked for"
        )
    return found


def is_fit(place: Path, needed: int) -> bool:
    """Whether a build can work in a folder: there is room, it can write, and programs may be executed there."""
    if not place.is_dir() or not os.access(place, os.W_OK):
        return False
    return shutil.disk_usage(place).free >= needed and not os.statvfs(place).f_flag & os.ST_NOEXEC


def _memory() -> int:
    """Bytes of memory that are available."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0
