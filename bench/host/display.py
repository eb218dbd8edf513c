"""A progress bar on a terminal; without one, permanent lines only."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import Progress, ProgressColumn


class Display:
    """Base of progress displays with one bar. Use as a context manager.

    Args:
        columns: what the bar shows.
        total: amount of work, None if it is not known yet.

    """

    def __init__(self, console: Console, *columns: ProgressColumn, total: int | None) -> None:
        self._console = console
        self._progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._progress.add_task("starting", total=total)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()
