"""Query another Python environment through its interpreter, which may be inside an image."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.host.software.installation import Installation
from matrix.errors import InputError
from matrix.host.calls import call

LIMIT = 600.0
"""Time limit of a query in seconds. Long operations have their own limits; this one is for a machine that hangs."""


@dataclass(frozen=True)
class InImage:
    """The interpreter of an image.

    Attributes:
        words: command prefix that runs a program in the image, with the interpreter's name.

    """

    image: Path
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"the interpreter of {self.image}"


Python = Path | InImage


def installation(python: Python) -> Installation:
    """Return what is installed in the environment of an interpreter.

    The answer has no version: an xffl-bench there that gives other keys cannot train this one's runs either.

    Raises:
        InputError: the interpreter cannot be queried.

    """
    return Installation.model_validate_json(ask(python, "bench.host.software.installation"))


MISSING = 3
"""Exit status of `_FIND` if the module does not exist; 1 and 2 are Python's own."""

_FIND = f"""
import sys
from importlib.util import find_spec
try:
    found = find_spec(sys.argv[1])
except ModuleNotFoundError:  # a package that it is in
    found = None
sys.exit(0 if found else {MISSING})
"""


def _is_missing(module: str, start: Sequence[str]) -> bool:
    """Return True if a Python (the words `start` start it) reports that it does not have a module."""
    try:
        return call([*start, "-c", _FIND, module], limit=LIMIT).returncode == MISSING
    except subprocess.TimeoutExpired:
        return False


def ask(python: Python, module: str, words: Sequence[str] = (), *, log: Path | None = None) -> str:
    """Run a module of `bench` with an interpreter and return the last line of its output.

    Its stderr is written to `log`, if given.

    Raises:
        InputError: the interpreter cannot be started, does not have the module, or the module failed.
        OSError: the log cannot be written.

    """
    start = [*(python.words if isinstance(python, InImage) else [str(python)]), "-P"]
    command = [*start, "-m", module, *words]
    try:
        done = call(command, limit=LIMIT)
    except OSError as error:
        remedy = "" if isinstance(python, InImage) else ": xffl.venv should name a virtual environment"
        raise InputError(f"{python}: cannot be started ({error.strerror}){remedy}") from error
    except subprocess.TimeoutExpired:
        raise InputError(f"{python}: {module} did not finish within {LIMIT:g} s") from None
    if log is not None:
        log.write_text(done.stderr, encoding="utf-8")
    if done.returncode == 0:
        return done.stdout.strip().rpartition("\n")[2]
    errors = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit status {done.returncode}"]
    if _is_missing(module, start):
        raise InputError(f"{python}: xffl-bench is not installed in this environment: ranks need it, install it there")
    raise InputError(f"{python}: {module} failed: {errors[-1]}" + (f" (full output: {log})" if log else ""))
