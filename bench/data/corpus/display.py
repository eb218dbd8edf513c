"""Progress display of preparing a data set."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn


class Display:
    """A progress bar per stage, in bytes; without a terminal, messages only. Use as a context manager."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("starting", total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def stage(self, name: str, total: int) -> None:
        """Begin a stage that processes `total` bytes."""
        self._progress.reset(self._task, description=name, total=total)

    def advance(self, size: int) -> None:
        """Report that `size` more bytes are processed."""
        self._progress.advance(self._task, size)

    def say(self, sentence: str) -> None:
        """Print a permanent message."""
        self._console.print(sentence, markup=False, highlight=False, soft_wrap=True)
