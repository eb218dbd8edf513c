"""Progress display of preparing a data set."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from bench.host.display import Display


class CorpusDisplay(Display):
    """A progress bar per stage, in bytes."""

    def __init__(self, console: Console) -> None:
        super().__init__(
            console,
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            total=None,
        )

    def stage(self, name: str, total: int) -> None:
        """Begin a stage that processes `total` bytes."""
        self._progress.reset(self._task, description=name, total=total)

    def advance(self, size: int) -> None:
        """Report that `size` more bytes are processed."""
        self._progress.advance(self._task, size)

    def say(self, sentence: str) -> None:
        """Print a permanent message."""
        self._console.print(sentence, markup=False, highlight=False, soft_wrap=True)
