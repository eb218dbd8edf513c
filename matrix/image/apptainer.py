"""Apptainer, or Singularity: the program that images are built and entered with."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from matrix.errors import InputError
from matrix.host.calls import call

NAMES = ("apptainer", "singularity")


class ImageError(RuntimeError):
    """The program failed at what it was asked for."""


def find_program(asked: str | None, *, key: str = "--program") -> Path:
    """The program: the one asked for under `key`, else the first of both that is in PATH.

    Raises:
        InputError: there is none.

    """
    found = next((path for name in ([asked] if asked else NAMES) if (path := shutil.which(name))), None)
    if found is not None:
        return Path(found)
    remedy = "load the site's module, install it (apptainer.org/docs/admin/main/installation.html)"
    if asked:
        raise InputError(f"{key} {asked}: no such program: {remedy}, or leave it out")
    raise InputError(f"neither apptainer nor singularity is in PATH: {remedy}, or name it with {key}")


def output_of(command: Sequence[str | Path], *, limit: float = 600.0) -> str:
    """What a command prints.

    Raises:
        ImageError: it could not be started, took longer than `limit` seconds, or ended with another status than 0.

    """
    try:
        done = call(command, limit=limit)
    except OSError as error:
        raise ImageError(f"{command[0]} cannot be started: {error.strerror}") from error
    except subprocess.TimeoutExpired:
        raise ImageError(f"had not ended after {limit:g} s") from None
    if done.returncode != 0:
        raise ImageError(last_line(done.stderr or done.stdout) or f"status {done.returncode}")
    return done.stdout


def labels_of(program: str | Path, image: Path, *, limit: float = 600.0) -> dict[str, str]:
    """An image's labels.

    Raises:
        ImageError: as `output_of`.
        ValueError, KeyError, TypeError: it has none that can be read.

    """
    said = json.loads(output_of([program, "inspect", "--json", image], limit=limit))
    labels: dict[str, str] = said["data"]["attributes"]["labels"] or {}
    return labels


def crossing(program: str | Path, variables: Mapping[str, str]) -> dict[str, str]:
    """Variables as the caller's environment must have them to arrive inside, word for word.

    A shell inside puts them into double quotes and escapes double quotes by itself, and nothing else.
    """
    prefix = "SINGULARITYENV" if Path(program).name == "singularity" else "APPTAINERENV"
    return {f"{prefix}_{name}": re.sub(r"([\\$`])", r"\\\1", value) for name, value in variables.items()}


def last_line(text: str) -> str:
    """The last line that says something, without colours."""
    lines = [line.strip() for line in re.sub(r"\x1b\[[\d;]*m", "", text).splitlines() if line.strip()]
    return lines[-1] if lines else ""
