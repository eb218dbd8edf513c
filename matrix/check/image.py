"""Verify a built image."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from matrix.check.item import Item, State
from matrix.image.apptainer import ImageError, last_line, output_of
from matrix.image.base import GPU_OPTION
from matrix.image.build import digest_file, inside
from matrix.image.sif import inspect

_COMMANDS = (("torchrun", "--help"), ("python", "-m", "bench.training", "--help"), ("xffl-bench", "--version"))


def verify(program: Path, image: Path) -> Iterator[Item]:
    """Check an image's digest, a training in it, and its commands.

    Raises:
        InputError: the file is not an image built by xffl-bench.

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
            yield Item(" ".join(command), State.MISSING, str(error), "rebuild the image")


def _digest(image: Path, digest: str) -> Item:
    file = digest_file(image)
    try:
        expected = re.match(r"[0-9a-f]{64}\b", file.read_text(encoding="ascii"))
    except (FileNotFoundError, UnicodeDecodeError):
        expected = None
    if expected is None:
        return Item("sha256", State.MISSING, f"{file} has no digest", "copy it from where the image was built")
    if expected[0] != digest:
        return Item(
            "sha256", State.MISSING, f"{digest}, but {file} has {expected[0]}", "copy the image again, or rebuild it"
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
    return Item("training", State.MISSING, last_line(done.stderr or done.stdout), "`image build` prints all output")
