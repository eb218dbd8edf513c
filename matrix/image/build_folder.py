"""Choose the folder in which an image is built: the fastest one with enough space."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from matrix.errors import InputError

GIB = 1 << 30
NEEDED = {"cpu": 4 * GIB, "cuda": 30 * GIB, "rocm": 80 * GIB}
"""Bytes that a build may need: the unpacked base, the packages installed into it, and the packed image."""

_MEMORY = Path("/dev/shm")


def build_folder(asked: Path | None, out: Path, device: str) -> Path:
    """Return the folder for temporary files of a build.

    A folder chosen by the user is used without checking its space; otherwise memory, the folder for temporary files
    and the folder of the image are tried in this order.

    Raises:
        InputError: no folder has enough space, or the chosen one is not writable.

    """
    if asked is not None:
        if not asked.is_dir() or not os.access(asked, os.W_OK):
            raise InputError(f"--tmp {asked}: is not a writable folder")
        return asked
    needed = NEEDED[device]
    places = [_MEMORY] if _memory() > 2 * needed else []
    places += [Path(tempfile.gettempdir()), out.parent]
    found = next((place for place in places if is_fit(place, needed)), None)
    if found is None:
        room = ", ".join(f"{shutil.disk_usage(place).free / GIB:.1f} GiB in {place}" for place in places)
        raise InputError(
            f"not enough space to build an image for {device}, which may need {needed // GIB} GiB (free: {room}): "
            "choose a folder with --tmp, whose space is not checked"
        )
    return found


def is_fit(place: Path, needed: int) -> bool:
    """Return True if a folder is writable, has `needed` bytes free, and is not mounted noexec."""
    if not place.is_dir() or not os.access(place, os.W_OK):
        return False
    return shutil.disk_usage(place).free >= needed and not os.statvfs(place).f_flag & os.ST_NOEXEC


def _memory() -> int:
    """Return the available memory in bytes."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0
