"""Show the progress of a sweep: a live line for the active run, and one line per finished run."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text

from bench.contract.results.outcomes import Outcome
from bench.contract.results.result import Heartbeat, Result
from bench.contract.run import Run
from bench.host.display import Display
from matrix.runner.pace import pace
from reports.data.words import counted

NEXT_LINE = f"\n{'':<14}"
"""Between the two lines of an outcome; the second is indented."""


class Detail(Enum):
    """How much is printed about the runs of a sweep, one line each."""

    FAILURES = "failures"
    OUTCOMES = "outcomes"
    PHASES = "phases"


WIDE = 120
"""Columns of a terminal that has room for a bar."""

_STYLES = {Outcome.COMPLETED: "green", Outcome.INTERRUPTED: "yellow"}


def _at_most(width: int) -> Column:
    return Column(no_wrap=True, overflow="ellipsis", max_width=max(width, 20))


class SweepDisplay(Display):
    """Shows the progress of a sweep.

    Args:
        runs: number of runs.
        detail: which lines are printed for good: outcomes, only those of failures, or also the phases of every run.

    """

    def __init__(self, console: Console, runs: int, detail: Detail = Detail.OUTCOMES) -> None:
        bar = 25 if console.width >= WIDE else 0
        super().__init__(
            console,
            SpinnerColumn(),
            # The name of the run is last, and is what is cut off where there is no room.
            TextColumn("{task.description}", markup=False, table_column=_at_most(console.width - (22 + bar))),
            *([BarColumn(bar_width=bar - 1)] if bar else []),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            total=runs,
        )
        self._runs = runs
        self._kept = 0
        self._detail = detail
        self._phase = ""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        if self._kept and self._detail is not Detail.FAILURES:
            self._console.print(f"not repeated, since a result exists: {counted(self._kept, 'run')}")

    def begins(self, left: int, folder: Path) -> None:
        """Print how many runs there are, how many of them are left, and where their results are.

        To stderr, where stdout is no terminal: whatever reads it gets the lines of runs only.
        """
        of_them = f", {left} left" if left < self._runs else ""
        said = f"{counted(self._runs, 'run')}{of_them}, results in {folder.absolute()}"
        console = self._console if self._console.is_terminal else Console(stderr=True, markup=False)
        console.print(said, highlight=False, soft_wrap=True)

    def started(self, run: Run) -> None:
        """Show that a run has started."""
        self._progress.update(self._task, description=f"starting  {run.id}")
        self._entered(run, "starting")

    def beat(self, run: Run, heartbeat: Heartbeat) -> None:
        """Show the phase and step of a run."""
        beat = heartbeat
        said = pace(beat.phase, beat.step + 1, beat.steps, beat.tokens_per_s, beat.loss)
        self._progress.update(self._task, description=f"{said}  {run.id}")
        self._entered(run, heartbeat.phase)

    def _entered(self, run: Run, phase: str) -> None:
        """Print the phase of a run if it is a new one."""
        if self._detail is Detail.PHASES and phase != self._phase:
            self._say((f"{phase:<13}", "dim"), f" {run.id}")
        self._phase = phase

    def ended(self, result: Result) -> None:
        """Print a permanent line with the outcome of a run."""
        style = _STYLES.get(result.outcome, "red")
        found = result.reason
        if result.measured is not None and result.outcome is Outcome.COMPLETED:
            found = (
                f"{result.measured.window.tokens_per_s:,.0f} tokens/s, "
                f"validation loss {result.measured.loss.validation:.3f}"
            )
        if self._detail is not Detail.FAILURES or result.outcome is not Outcome.COMPLETED:
            self._print_outcome(result, style, found)
        if result.outcome.is_final:  # else it runs again
            self._progress.advance(self._task)

    def _print_outcome(self, result: Result, style: str, found: str) -> None:
        """Print a line, or two on a terminal that is too narrow for one."""
        name, facts = f"{result.outcome:<13} {result.run}", f"{result.seconds:.1f} s  {found}"
        is_narrow = self._console.is_terminal and len(f"{name}  {facts}") > self._console.width
        gap = NEXT_LINE if is_narrow else "  "
        self._say(
            (f"{result.outcome:<13}", style), f" {result.run}{gap}", (f"{result.seconds:.1f} s", "dim"), f"  {found}"
        )

    def _say(self, *parts: str | tuple[str, str]) -> None:
        """Print a permanent line of texts, some with a style."""
        self._console.print(Text.assemble(*parts), soft_wrap=True)

    def searched(self, sentence: str) -> None:
        """Print news of the search for a batch size."""
        self._say((sentence, "dim"))

    def kept(self, result: Result) -> None:
        """Count a run that already has a result."""
        self._kept += 1
        self._progress.advance(self._task)
