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
        needed_for: what needs an item that this system does not need; else empty.

    """

    name: str
    state: State
    found: str
    remedy: str = ""
    needed_for: str = ""


def optional(
    name: str, found: str, *, is_there: bool, needed: bool, remedy: str, needed_for: str, absent: str = "not found"
) -> Item:
    """Return an item that only some systems need: absent and not needed, it is only said to be `absent`."""
    if is_there:
        return Item(name, State.OK, found)
    if needed:
        return Item(name, State.MISSING, found, remedy)
    return Item(name, State.NOT_NEEDED, absent, needed_for=needed_for)


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
