"""Questions to another environment, answered by its own interpreter: it may be another than that of xffl-bench, and lie
in an image.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.host.installation import Installation
from matrix.errors import InputError
from matrix.host.calls import call

LIMIT = 600.0
"""Seconds for an answer. What takes long knows limits of its own: this one is for a machine that stands still."""


@dataclass(frozen=True)
class InImage:
    """The interpreter of an image.

    Attributes:
        words: what calls it, from outside.

    """

    image: Path
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"the interpreter of {self.image}"


Python = Path | InImage


def installation(python: Python) -> Installation:
    """What the environment of an interpreter has.

    Raises:
        InputError: it cannot be asked.

    """
    return Installation.model_validate_json(ask(python, "bench.host.installation"))


def ask(python: Python, module: str, words: Sequence[str] = (), *, log: Path | None = None) -> str:
    """The last line that a module of `bench` prints there. What it complains of is kept in a file where one is named.

    Raises:
        InputError: the interpreter cannot be started, has no such module, or the module failed.
        OSError: the file cannot be written.

    """
    command = [*(python.words if isinstance(python, InImage) else [str(python)]), "-P", "-m", module, *words]
    try:
        done = call(command, limit=LIMIT)
    except OSError as error:
        remedy = "" if isinstance(python, InImage) else ": under xffl.venv should stand an environment"
        raise InputError(f"{python}: cannot be started ({error.strerror}){remedy}") from error
    except subprocess.TimeoutExpired:
        raise InputError(f"{python}: {module} had not ended after {LIMIT:g} s") from None
    if log is not None:
        log.write_text(done.stderr, encoding="utf-8")
    if done.returncode == 0:
        return done.stdout.strip().rpartition("\n")[2]
    said = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit status {done.returncode}"]
    if "No module named 'bench" in said[-1]:
        raise InputError(f"{python}: this environment has no xffl-bench, which ranks need: install it there too")
    raise InputError(f"{python}: {module} failed: {said[-1]}" + (f" (the rest of it: {log})" if log else ""))
