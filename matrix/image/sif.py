"""Inspect a built image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from matrix.errors import InputError
from matrix.image.apptainer import ImageError, labels_of, output_of
from matrix.image.base import Device
from matrix.image.build import FREEZE, image_digest, inside


@dataclass(frozen=True)
class Inspected:
    """The metadata of an image.

    Attributes:
        labels: those of xffl-bench, without the prefix.
        packages: `name==version`, sorted.
        digest: SHA-256 of the file.

    """

    labels: dict[str, str]
    packages: tuple[str, ...]
    digest: str

    @property
    def device(self) -> Device:
        """The kind of device that the image was built for."""
        named = self.labels.get("device")
        return "cuda" if named == "cuda" else "rocm" if named == "rocm" else "cpu"


def inspect(program: Path, image: Path) -> Inspected:
    """Read the metadata of an image.

    Raises:
        InputError: the file is not an image built by xffl-bench.

    """
    if not image.is_file():
        raise InputError(f"{image}: does not exist: give an image built by `xffl-bench image build`")
    try:
        labels = {
            name.removeprefix("xffl-bench."): str(value)
            for name, value in labels_of(program, image).items()
            if name.startswith("xffl-bench.")
        }
        packages = output_of([*inside(program, image), "cat", FREEZE]) if labels else ""
    except (ImageError, ValueError, KeyError) as error:
        raise InputError(f"{image}: {program.name} cannot read it: {error}") from error
    if not labels:
        raise InputError(f"{image}: has no labels of xffl-bench: give an image built by `xffl-bench image build`")
    return Inspected(labels, tuple(packages.split("\n")[:-1]), image_digest(image))
