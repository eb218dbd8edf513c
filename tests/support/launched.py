"""Runs without ranks for a runner in the test's process, and an observer of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench.contract.results.result import Heartbeat, Result
from bench.contract.run import Run
from bench.contract.storage.files import AttemptFolder, RunFolder
from matrix.store.judge import Process


class Simulated:
    """A launcher, and the run that it starts: something happens once while it is followed.

    Attributes:
        stopped: True once the runner has ended it.

    """

    is_here = True

    def __init__(self, happens: Callable[[], None] = lambda: None, *, ends: bool) -> None:
        self._happens = happens
        self._ends = ends
        self.stopped = False

    def start(self, run: Run, folder: RunFolder, attempt: AttemptFolder) -> Simulated:
        return self

    def statuses(self) -> dict[Process, int]:
        return {}

    def is_over(self) -> bool:
        self._happens()
        self._happens = lambda: None
        return self._ends

    def memory_line(self) -> str:
        return ""

    def dump_stacks(self) -> None: ...

    def stop(self) -> list[str]:
        self.stopped = True
        return []

    def close(self) -> None: ...


class Quiet:
    """An observer that shows nothing."""

    def begins(self, left: int, folder: Path) -> None: ...

    def started(self, run: Run) -> None: ...

    def beat(self, run: Run, heartbeat: Heartbeat) -> None: ...

    def ended(self, result: Result) -> None: ...

    def kept(self, result: Result) -> None: ...

    def searched(self, sentence: str) -> None: ...
