"""Apptainer or Singularity, the program that builds and runs images."""

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
    """The container program failed."""


def find_program(asked: str | None, *, key: str = "--program") -> Path:
    """Return the program named by the user with option or key `key`, else the first of `NAMES` found in PATH.

    Raises:
        InputError: the program is not found.

    """
    found = next((path for name in ([asked] if asked else NAMES) if (path := shutil.which(name))), None)
    if found is not None:
        return Path(found)
    remedy = "load the site's module, install it (apptainer.org/docs/admin/main/installation.html)"
    if asked:
        raise InputError(f"{key} {asked}: program not found: {remedy}, or omit {key}")
    raise InputError(f"neither apptainer nor singularity is in PATH: {remedy}, or give its path with {key}")


def output_of(command: Sequence[str | Path], *, limit: float = 600.0) -> str:
    """Run a command and return its output.

    Raises:
        ImageError: the command could not be started, took longer than `limit` seconds, or ended with a nonzero status.

    """
    try:
        done = call(command, limit=limit)
    except OSError as error:
        raise ImageError(f"{command[0]} cannot be started: {error.strerror}") from error
    except subprocess.TimeoutExpired:
        raise ImageError(f"did not finish within {limit:g} s") from None
    if done.returncode != 0:
        raise ImageError(last_line(done.stderr or done.stdout) or f"status {done.returncode}")
    return done.stdout


def labels_of(program: str | Path, image: Path, *, limit: float = 600.0) -> dict[str, str]:
    """Return the labels of an image.

    Raises:
        ImageError: as `output_of`.
        ValueError, KeyError, TypeError: the image has no readable labels.

    """
    said = json.loads(output_of([program, "inspect", "--json", image], limit=limit))
    labels: dict[str, str] = said["data"]["attributes"]["labels"] or {}
    return labels


def crossing(program: str | Path, variables: Mapping[str, str]) -> dict[str, str]:
    """Return variables renamed and escaped so that the container receives their exact values.

    A shell inside wraps values in double quotes and escapes only double quotes itself.
    """
    prefix = "SINGULARITYENV" if Path(program).name == "singularity" else "APPTAINERENV"
    return {f"{prefix}_{name}": re.sub(r"([\\$`])", r"\\\1", value) for name, value in variables.items()}


def last_line(text: str) -> str:
    """Return the last non-empty line, without colour codes."""
    lines = [line.strip() for line in re.sub(r"\x1b\[[\d;]*m", "", text).splitlines() if line.strip()]
    return lines[-1] if lines else ""
