"""One item that a system may need, and its state."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from matrix.host.calls import call


class State(StrEnum):
    """The state of an item."""

    OK = "ok"
    MISSING = "missing"
    NOT_NEEDED = "not needed"


@dataclass(frozen=True)
class Item:
    """The result of one check.

    Attributes:
        name: name of the item.
        found: what was found.
        remedy: what to do, or the consequence; may be empty.

    """

    name: str
    state: State
    found: str
    remedy: str = ""


def optional(name: str, found: str, *, is_there: bool, needed: bool, remedy: str) -> Item:
    """Return an item that only some systems need: if absent, it is missing only if needed."""
    if is_there:
        return Item(name, State.OK, found)
    return Item(name, State.MISSING, found, remedy) if needed else Item(name, State.NOT_NEEDED, found)


def said_by(command: Sequence[str], limit: float = 20.0) -> tuple[bool, str]:
    """Run a program; return True if it succeeded, and the last line of its stdout, or else of its stderr."""
    try:
        done = call(command, limit=limit)
    except subprocess.TimeoutExpired:
        return False, f"no answer within {limit:g} s"
    except OSError as error:
        return False, f"{command[0]}: {error.strerror}"
    printed = done.stdout if done.returncode == 0 and done.stdout.strip() else done.stderr
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    return done.returncode == 0, lines[-1] if lines else f"exit status {done.returncode}"
