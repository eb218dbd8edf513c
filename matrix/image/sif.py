"""What a built image says of itself, and whether it does what it should."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from matrix.check.item import Item, State
from matrix.errors import InputError
from matrix.image.apptainer import ImageError, labels_of, last_line, output_of
from matrix.image.base import GPU_OPTION, Device
from matrix.image.build import FREEZE, digest_file, digest_of, inside

_COMMANDS = (("torchrun", "--help"), ("python", "-m", "bench.training", "--help"), ("xffl-bench", "--version"))


@dataclass(frozen=True)
class Inspected:
    """What an image says of itself.

    Attributes:
        labels: ours, without the prefix.
        packages: `name==version`, sorted.
        digest: SHA-256 of the file.

    """

    labels: dict[str, str]
    packages: tuple[str, ...]
    digest: str

    @property
    def device(self) -> Device:
        """What it was built for."""
        named = self.labels.get("device")
        return "cuda" if named == "cuda" else "rocm" if named == "rocm" else "cpu"


def inspect(program: Path, image: Path) -> Inspected:
    """Look into an image.

    Raises:
        InputError: it is no image, or none of ours.

    """
    if not image.is_file():
        raise InputError(f"{image}: there is no such file: name an image that `xffl-bench image build` made")
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
        raise InputError(f"{image}: has no labels of xffl-bench: name an image that `xffl-bench image build` made")
    return Inspected(labels, tuple(packages.split("\n")[:-1]), digest_of(image))


def verify(program: Path, image: Path) -> Iterator[Item]:
    """Try an image out, one thing after the other.

    Raises:
        InputError: it is no image, or none of ours.

    """
    found = inspect(program, image)
    yield _digest(image, found.digest)
    gpu = GPU_OPTION[found.device]
    yield _training(program, image, gpu)
    for command in _COMMANDS:
        try:
            said = last_line(output_of([*inside(program, image, gpu), *command]))
            yield Item(" ".join(command), State.OK, said if command[0] == "xffl-bench" else "answers")
        except ImageError as error:
            yield Item(" ".join(command), State.MISSING, str(error), "build the image anew")


def _digest(image: Path, digest: str) -> Item:
    file = digest_file(image)
    try:
        asked = re.match(r"[0-9a-f]{64}\b", file.read_text(encoding="ascii"))
    except (FileNotFoundError, UnicodeDecodeError):
        asked = None
    if asked is None:
        return Item("sha256", State.MISSING, f"{file} has none", "copy it from where the image was built")
    if asked[0] != digest:
        return Item(
            "sha256", State.MISSING, f"{digest}, but {file} has {asked[0]}", "copy the image again, or build it anew"
        )
    return Item("sha256", State.OK, digest)


def _training(program: Path, image: Path, gpu: tuple[str, ...]) -> Item:
    command = [str(program), "test", "--cleanenv", "--no-home", "--pwd", "/", *gpu, str(image)]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode == 0:
        tried = [line for line in done.stdout.splitlines() if line.startswith("two ranks")]
        return Item("training", State.OK, "; ".join(tried) or "the image's own test passed")
    return Item("training", State.MISSING, last_line(done.stderr or done.stdout), "`image build` shows all of it")
