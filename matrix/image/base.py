"""What an image is built on: a vendor's PyTorch image, or any that has Python and pip."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from matrix.errors import InputError, suggestion

Device = Literal["cpu", "cuda", "rocm"]

DEFAULTS: dict[Device, str] = {
    "cpu": "python:3.12-slim-bookworm",
    "cuda": "pytorch/pytorch:2.9.0-cuda12.8-cudnn9-runtime",
    "rocm": "rocm/pytorch:rocm7.0_ubuntu24.04_py3.12_pytorch_release_2.8.0",
}
"""On Docker's hub. Those for GPUs have a torch of their maker's."""

GPU_OPTION: dict[Device, tuple[str, ...]] = {"cpu": (), "cuda": ("--nv",), "rocm": ("--rocm",)}
"""What lets a container have the host's GPUs and their driver."""

FROM_REGISTRY = ("docker", "oras", "library")
FROM_FILE = ("localimage", "docker-archive", "oci-archive", "oci")


@dataclass(frozen=True)
class Base:
    """A base, in the two words of a definition's head."""

    bootstrap: str
    name: str


def find_base(device: Device, bootstrap: str, name: str | None) -> Base:
    """The base that was asked for.

    Raises:
        InputError: it is of no kind that is known, or lies on this machine and is not there.

    """
    if bootstrap not in FROM_REGISTRY + FROM_FILE:
        known = FROM_REGISTRY + FROM_FILE
        raise InputError(f"--bootstrap {bootstrap}: no such kind of base{suggestion(bootstrap, known)}")
    if bootstrap in FROM_REGISTRY:
        if name is None and bootstrap != "docker":
            raise InputError(f"--bootstrap {bootstrap}: needs the base's name in --from")
        return Base(bootstrap, name or DEFAULTS[device])
    if name is None:
        raise InputError(f"--bootstrap {bootstrap}: needs the base's path in --from")
    path, colon, tag = name.partition(":") if bootstrap != "localimage" else (name, "", "")
    if not Path(path).exists():
        raise InputError(f"--from {name}: there is no {path}: name a SIF, a folder or an archive that is there")
    return Base(bootstrap, f"{Path(path).absolute()}{colon}{tag}")
