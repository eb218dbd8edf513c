"""Watch a sweep until nothing more happens."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from io import StringIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from matrix.cli.progress.display import print_status
from matrix.cli.progress.documents import StatusDocument
from matrix.runner.pace import pace
from reports.data.words import counted

EVERY = 2.0
"""Seconds between two looks."""

LATEST = 3
"""Runs without completion that a redrawn screen shows; all are printed in the end."""

SHARE = 0.25
"""Largest share of the time that looking may take: a look at a large sweep takes seconds."""


def watch(look: Callable[[], StatusDocument], console: Console) -> StatusDocument:
    """Show a sweep until it is over, and return its last state, which is left to the caller to print.

    A terminal shows the whole state, drawn anew at each look; a file or pipe gets a line for each change.
    """
    if console.is_terminal:
        with Live(console=console, auto_refresh=False, transient=True) as live:
            for status in _looks(look):
                live.update(_drawn(status, console), refresh=True)
        return status
    before = ""
    for status in _looks(look):
        if (line := summary(status)) != before:
            console.print(line, highlight=False)
            before = line
    return status


def summary(status: StatusDocument) -> str:
    """Return the state in a line: `12 of 48 runs done (11 completed, 1 oom); RUN training 51/96, 1,234 tokens/s`."""
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in status.outcomes.items())
    done = sum(count for outcome, count in status.outcomes.items() if outcome.is_final)
    line = f"{done} of {counted(status.runs, 'run')} done" + (f" ({outcomes})" if outcomes else "")
    waiting = sum(job.is_live and not job.is_running for job in status.jobs)
    parts = [line, *([f"waiting: {counted(waiting, 'job')}"] if waiting else [])]
    parts += [f"{run.run} {pace(run.phase, run.step, run.steps, run.tokens_per_s, run.loss)}" for run in status.active]
    return "; ".join(parts)


def _looks(look: Callable[[], StatusDocument]) -> Iterator[StatusDocument]:
    """Yield a state after the other; the last one is over."""
    while True:
        begin = time.monotonic()
        status = look()
        yield status
        if status.is_over:
            return
        time.sleep(max(EVERY, (time.monotonic() - begin) * (1 / SHARE - 1)))


def _drawn(status: StatusDocument, console: Console) -> Text:
    """Return the state with the latest failures only: what is active comes last, and has to fit on the screen."""
    text = StringIO()
    status = status.model_copy(update={"unfinished": status.unfinished[-LATEST:]})
    print_status(status, Console(file=text, width=console.width, force_terminal=True, markup=False))
    return Text.from_ansi(text.getvalue())
