"""Check what a machine provides besides the environment: containers and disk space."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from bench.host import semaphores
from matrix.check.item import Item, State, optional, said_by
from matrix.errors import InputError
from matrix.host.paths import unset_variables
from matrix.image.apptainer import ImageError, find_program, labels_of

LEAST_ROOM = 1 << 30
"""Least free space in bytes for a sweep."""


def containers(image: Path | None, program: str | None = None) -> Item:
    """Check the container program: Apptainer, Singularity, or the one named in the system file."""
    try:
        engine = find_program(program, key="image.program")
    except InputError as error:
        needed, absent = image is not None, "no Apptainer or Singularity in PATH"
        return optional(
            "containers", str(error), is_there=False, needed=needed, remedy="", needed_for="an image", absent=absent
        )
    return Item("containers", State.OK, said_by([str(engine), "--version"])[1])


def semaphores_of_host() -> Item:
    """Check that processes of this host can have semaphores."""
    if fault := semaphores.fault():
        return Item("semaphores", State.MISSING, fault, "mount one, or give the container one (--ipc=host, --shm-size)")
    return Item("semaphores", State.OK, "they can be made")


def room(name: str, folder: Path) -> Item:
    """Check that a folder, or where it would be created, is writable and has free space."""
    place = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not place.is_dir() or not os.access(place, os.W_OK):
        return Item(name, State.MISSING, f"{place} is not writable", "choose another folder")
    free = shutil.disk_usage(place).free
    said = f"{free / (1 << 30):.1f} GiB free in {place}"
    if free < LEAST_ROOM:
        return Item(name, State.MISSING, said, f"free at least {LEAST_ROOM >> 30} GiB, or choose another folder")
    return Item(name, State.OK, said)


def image(path: Path | None, program: str | None = None, *, on_gpus: bool = False) -> Item:
    """Check that the container image is readable and built for the system's devices; report its labels."""
    if path is None:
        return Item("image", State.NOT_NEEDED, "none given", needed_for="ranks in a container")
    if not path.is_file() or not os.access(path, os.R_OK):
        unset = unset_variables(str(path))
        remedy = f"set {unset}" if unset else "give a SIF with --image, or as image.path in the system file"
        return Item("image", State.MISSING, f"{path} is not a readable file", remedy)
    size = f"{path}, {path.stat().st_size / (1 << 20):.0f} MiB"
    try:
        labels = labels_of(find_program(program), path, limit=60.0)
    except InputError:
        return Item("image", State.OK, f"{size}; its labels cannot be read without Apptainer")
    except ImageError as error:
        return Item("image", State.MISSING, f"{size}: {error}", "it should be a SIF built by Apptainer")
    except (ValueError, KeyError, TypeError):
        remedy = "it should be a SIF built by `xffl-bench image build`"
        return Item("image", State.MISSING, f"{size}: has no readable labels", remedy)
    return _labelled(size, labels, on_gpus=on_gpus)


def _labelled(size: str, labels: dict[str, str], *, on_gpus: bool) -> Item:
    own = {name: value for name, value in labels.items() if not name.startswith("org.label-schema")}
    described = f"{size}; " + (", ".join(f"{k}={v}" for k, v in own.items()) or "no labels")
    if on_gpus and own.get("xffl-bench.device") == "cpu":
        remedy = "ranks of this system need GPUs: `xffl-bench image build --device cuda` (or rocm)"
        return Item("image", State.MISSING, described, remedy)
    return Item("image", State.OK, described)
