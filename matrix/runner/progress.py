"""Show the progress of a sweep: a live line for the active run, and one line per finished run."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeRemainingColumn

from bench.contract.outcomes import Outcome
from bench.contract.result import Heartbeat, Result
from bench.contract.run import Run
from bench.host.display import Display

_STYLES = {Outcome.COMPLETED: "green", Outcome.INTERRUPTED: "yellow"}


class SweepDisplay(Display):
    """Shows the progress of a sweep."""

    def __init__(self, console: Console, runs: int) -> None:
        super().__init__(
            console,
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            total=runs,
        )
        self._kept = 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        if self._kept:
            self._console.print(f"{self._kept} runs already had a result and were not repeated")

    def started(self, run: Run) -> None:
        """Show that a run has started."""
        self._progress.update(self._task, description=f"{run.id} [dim]starting[/]")

    def beat(self, run: Run, heartbeat: Heartbeat) -> None:
        """Show the phase and step of a run."""
        step = f" {heartbeat.step + 1}/{heartbeat.steps}" if heartbeat.phase == "training" else ""
        self._progress.update(self._task, description=f"{run.id} [dim]{heartbeat.phase}{step}[/]")

    def ended(self, result: Result) -> None:
        """Print a permanent line with the outcome of a run."""
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

    def searched(self, sentence: str) -> None:
        """Print news of the search for a batch size."""
        self._console.print(f"[dim]{escape(sentence)}[/]", highlight=False, soft_wrap=True)

    def kept(self, result: Result) -> None:
        """Count a run that already has a result."""
        self._kept += 1
        self._progress.advance(self._task)
