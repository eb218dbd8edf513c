"""The state of a sweep on a screen."""

from __future__ import annotations

from datetime import timedelta

from rich import box
from rich.console import Console
from rich.table import Table

from bench.contract.results.result import is_failure
from matrix.cli.progress.documents import StatusDocument
from matrix.runner.pace import pace
from reports.data.words import counted


def print_status(status: StatusDocument, console: Console) -> None:
    """Print the state of a sweep."""
    table = Table(
        box=box.SIMPLE_HEAD,
        title=f"sweep {status.sweep}: {counted(status.runs, 'run')}",
        title_justify="left",
        pad_edge=False,
    )
    table.add_column("outcome")
    table.add_column("runs", justify="right")
    table.add_column("meaning", overflow="fold")
    for outcome, count in status.outcomes.items():
        table.add_row(outcome, str(count), outcome.meaning)
    if status.newer:
        table.add_row("newer version", str(len(status.newer)), "its result was written by a newer xffl-bench")
    if status.not_run:
        table.add_row("not run", str(status.not_run), "no result yet")
    console.print(table)
    for run in status.unfinished:
        console.print(f"{run.outcome}: {run.run}: {run.reason}", highlight=False)
    for run_id, sentence in status.newer.items():
        console.print(f"newer version: {run_id}: {sentence}", highlight=False, soft_wrap=True)
    if status.jobs:
        _print_jobs(status, console)
        for line in _left(status):
            console.print(line, highlight=False)
    if status.runner is None:
        console.print("no process is following the jobs" if status.jobs else "no process is running this sweep")
    else:
        runner = status.runner
        console.print(f"process {runner.pid} on {runner.host} has been running this sweep since {runner.since}")
    for active in status.active:
        said = pace(active.phase, active.step, active.steps, active.tokens_per_s, active.loss)
        console.print(f"active: {active.run}: {said}", highlight=False)
    if status.remaining_s is not None:
        console.print(
            f"about {remaining(status.remaining_s)} are left of the whole plan if runs take as long as completed ones"
        )


def remaining(seconds: float) -> str:
    """Return a time that is an estimate: `0:12:30`."""
    return str(timedelta(seconds=round(seconds)))


def _print_jobs(status: StatusDocument, console: Console) -> None:
    if status.no_answer:
        console.print(status.no_answer, highlight=False)
    table = Table(box=box.SIMPLE_HEAD, title="jobs", title_justify="left", pad_edge=False)
    for name in ("job", "nodes", "runs made"):
        table.add_column(name, justify="right")
    table.add_column("state", overflow="fold")
    for job in status.jobs:
        table.add_row(job.job or "", str(job.nodes), f"{job.done} of {job.runs}", job.state)
    console.print(table)


def _left(status: StatusDocument) -> list[str]:
    """Return a sentence for each kind of runs that jobs left, with the remedy."""
    left, again, lines = status.left, "the same `xffl-bench run` submits them again", []
    if left.failed:
        failed = [job for job in status.jobs if job.end is not None and is_failure(job.end)]
        where = failed[-1].log or f"what the scheduler recorded of job {failed[-1].job}"
        lines.append(f"left by jobs that failed: {counted(left.failed, 'run')}: see {where}; {again}")
    if left.cancelled:
        lines.append(f"left by jobs that were cancelled: {counted(left.cancelled, 'run')}: {again}")
    if left.completed:
        lines.append(f"left by jobs whose time was over: {counted(left.completed, 'run')}: {again}")
    return lines
