"""Base images: a vendor's PyTorch image, or any image with Python and pip."""

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
"""Default base images, on Docker Hub. Those for GPUs contain the vendor's torch."""

GPU_OPTION: dict[Device, tuple[str, ...]] = {"cpu": (), "cuda": ("--nv",), "rocm": ("--rocm",)}
"""Options that give a container access to the host's GPUs and driver."""

FROM_REGISTRY = ("docker", "oras", "library")
FROM_FILE = ("localimage", "docker-archive", "oci-archive", "oci")


@dataclass(frozen=True)
class Base:
    """A base image, by the two keywords in the header of a definition file."""

    bootstrap: str
    name: str


def find_base(device: Device, bootstrap: str, name: str | None) -> Base:
    """Return the base image chosen by the user.

    Raises:
        InputError: its kind is unknown, its name is missing, or a local file does not exist.

    """
    if bootstrap not in FROM_REGISTRY + FROM_FILE:
        known = FROM_REGISTRY + FROM_FILE
        raise InputError(f"--bootstrap {bootstrap}: unknown kind of base image{suggestion(bootstrap, known)}")
    if bootstrap in FROM_REGISTRY:
        if name is None and bootstrap != "docker":
            raise InputError(f"--bootstrap {bootstrap}: needs the name of the base image in --from")
        return Base(bootstrap, name or DEFAULTS[device])
    if name is None:
        raise InputError(f"--bootstrap {bootstrap}: needs the path of the base image in --from")
    path, colon, tag = name.partition(":") if bootstrap != "localimage" else (name, "", "")
    if not Path(path).exists():
        raise InputError(f"--from {name}: {path} does not exist: give an existing SIF, folder or archive")
    return Base(bootstrap, f"{Path(path).absolute()}{colon}{tag}")
