"""Attempts on other ports, if other programs take a port between its choice and its use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from matrix.store.judge import Verdict

PORTS = 3
"""Ports that a run, or a preflight, is started on."""

T = TypeVar("T")


def on_free_port(attempt: Callable[[], tuple[Verdict, T]]) -> tuple[Verdict, T]:
    """Call `attempt`, which chooses a port, until no other program has it, at most `PORTS` times; return its last."""
    for _ in range(PORTS):
        verdict, more = attempt()
        if not verdict.port_taken:
            return verdict, more
    return replace(verdict, reason=f"{verdict.reason}, as in {PORTS - 1} attempts before with other ports"), more
