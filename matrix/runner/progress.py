"""What a person sees while a sweep runs: a live line for the run under way, and one line for each that ended."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from bench.contract.outcomes import Outcome
from bench.contract.result import Heartbeat, Result
from bench.contract.run import Run

_STYLES = {Outcome.COMPLETED: "green", Outcome.INTERRUPTED: "yellow"}


class Display:
    """Shows a sweep; without a terminal it prints plain lines. Use as a context manager."""

    def __init__(self, console: Console, runs: int) -> None:
        self._console = console
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("starting", total=runs)
        self._kept = 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()
        if self._kept:
            self._console.print(f"{self._kept} runs had their result already and were not run again")

    def started(self, run: Run) -> None:
        """A run begins."""
        self._progress.update(self._task, description=f"{run.id} [dim]starting[/]")

    def beat(self, run: Run, heartbeat: Heartbeat) -> None:
        """A run has come further."""
        step = f" {heartbeat.step + 1}/{heartbeat.steps}" if heartbeat.phase == "training" else ""
        self._progress.update(self._task, description=f"{run.id} [dim]{heartbeat.phase}{step}[/]")

    def ended(self, result: Result) -> None:
        """A run has an outcome: one line that stays."""
        style = _STYLES.get(result.outcome, "red")
        found = result.reason
        if result.measured is not None and result.outcome is Outcome.COMPLETED:
            found = (
                f"{result.measured.window.tokens_per_s:,.0f} tokens/s, "
                f"validation loss {result.measured.loss.validation:.3f}"
            )
        self._console.print(
            f"[{style}]{result.outcome:<13}[/] {result.run}  [dim]{result.seconds:.1f} s[/]  {escape(found)}",
            highlight=False,
            soft_wrap=True,
        )
        self._progress.advance(self._task)

    def kept(self, result: Result) -> None:
        """A run had its result already."""
        self._kept += 1
        self._progress.advance(self._task)
