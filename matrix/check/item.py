"""One thing that a system may need, and what was found of it."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from matrix.host.calls import call


class State(StrEnum):
    """Of an item."""

    OK = "ok"
    MISSING = "missing"
    NOT_NEEDED = "not needed"


@dataclass(frozen=True)
class Item:
    """What was found.

    Attributes:
        name: of the thing.
        found: what there is of it.
        remedy: what to do, or what follows; empty where nothing does.

    """

    name: str
    state: State
    found: str
    remedy: str = ""


def optional(name: str, found: str, *, is_there: bool, needed: bool, remedy: str) -> Item:
    """A thing that some systems need: it is missing only where it is needed."""
    if is_there:
        return Item(name, State.OK, found)
    return Item(name, State.MISSING, found, remedy) if needed else Item(name, State.NOT_NEEDED, found)


def said_by(command: Sequence[str], limit: float = 20.0) -> tuple[bool, str]:
    """(whether a program ended well, its last line); what it prints counts, else what it complains of."""
    try:
        done = call(command, limit=limit)
    except subprocess.TimeoutExpired:
        return False, f"no answer in {limit:g} s"
    except OSError as error:
        return False, f"{command[0]}: {error.strerror}"
    printed = done.stdout if done.returncode == 0 and done.stdout.strip() else done.stderr
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    return done.returncode == 0, lines[-1] if lines else f"exit status {done.returncode}"
