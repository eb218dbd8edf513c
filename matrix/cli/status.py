"""The command `status`: the progress of a sweep, for people and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Literal

from pydantic import Field
from rich import box
from rich.console import Console
from rich.table import Table

from bench.contract.base import Document
from bench.contract.outcomes import Outcome
from bench.contract.result import Result
from matrix.errors import InputError, SchedulerError
from matrix.schedulers.base import JobStatus
from matrix.schedulers.dispatch import batch_scheduler_of
from matrix.store.claim import holder
from matrix.store.jobs import JobFolder, job_folders, live_jobs
from matrix.store.sweep_folder import SweepFolder


class UnfinishedRun(Document):
    """A run that ended without completing."""

    run: str = Field(description="id of the run")
    outcome: Outcome = Field(description="how it ended")
    reason: str = Field(description="why it ended so")


class ActiveRun(Document):
    """A run that ranks are executing."""

    run: str = Field(description="id of the run")
    phase: str = Field(description="phase of rank 0")
    step: int = Field(description="optimizer steps finished")
    steps: int = Field(description="optimizer steps in all")


class ActiveRunner(Document):
    """The process that is running a sweep."""

    pid: int = Field(description="process id")
    host: str = Field(description="host of the process")
    since: str = Field(description="when it began, ISO 8601 in UTC")


class JobState(Document):
    """A batch job of the sweep."""

    job: str | None = Field(description="id of the job, null if it was not submitted")
    nodes: int = Field(description="nodes of the job")
    runs: int = Field(description="runs of the job")
    done: int = Field(description="runs with a final outcome")
    state: str = Field(description="its state, for people")


class StatusDocument(Document):
    """The state of a sweep, as `status --json` prints it."""

    version: Literal[1] = Field(1, description="version of this document")
    sweep: str = Field(description="name of the sweep")
    folder: str = Field(description="folder of the sweep")
    runs: int = Field(description="runs of the plan")
    outcomes: dict[Outcome, int] = Field(description="number of runs by outcome")
    not_run: int = Field(description="runs without a result")
    unfinished: list[UnfinishedRun] = Field(description="runs that ended without completing, in the plan's order")
    newer: dict[str, str] = Field(description="runs whose result a newer xffl-bench wrote, with the reason")
    jobs: list[JobState] = Field(description="batch jobs")
    no_answer: str = Field(description="why the scheduler could not be asked, empty if it answered or was not needed")
    runner: ActiveRunner | None = Field(description="process that is running the sweep, null without one")
    active: list[ActiveRun] = Field(description="runs under way, if they run under that process")

    @property
    def has_failures(self) -> bool:
        """True if a run has a final outcome other than `completed`."""
        return any(run.outcome.is_final for run in self.unfinished)


def look(folder: SweepFolder) -> StatusDocument:
    """Return the outcomes so far, failures with their reasons, jobs, and the active runs.

    Raises:
        InputError: the folder is not that of a sweep.

    """
    plan = folder.plan()
    results, newer = _results(folder, plan.order)
    missing = [run_id for run_id in plan.order if run_id not in results and run_id not in newer]
    runner = holder(folder.runners)
    beats = {run_id: folder.heartbeat(run_id) for run_id in missing} if runner else {}
    counts = Counter(result.outcome for result in results.values())
    jobs, no_answer = _jobs(folder, results)
    return StatusDocument(
        sweep=plan.sweep,
        folder=str(folder.path),
        runs=len(plan.order),
        outcomes={outcome: counts[outcome] for outcome in Outcome if counts[outcome]},
        not_run=len(missing),
        unfinished=[
            UnfinishedRun(run=run_id, outcome=result.outcome, reason=result.reason)
            for run_id, result in results.items()
            if result.outcome is not Outcome.COMPLETED
        ],
        newer=newer,
        jobs=jobs,
        no_answer=no_answer,
        runner=ActiveRunner(pid=runner.pid, host=runner.host, since=runner.since) if runner else None,
        active=[
            ActiveRun(run=run_id, phase=beat.phase, step=beat.step + 1, steps=beat.steps)
            for run_id, beat in beats.items()
            if beat is not None
        ],
    )


def print_status(status: StatusDocument, console: Console) -> None:
    """Print the state of a sweep."""
    table = Table(
        box=box.SIMPLE_HEAD, title=f"sweep {status.sweep}: {status.runs} runs", title_justify="left", pad_edge=False
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
    if status.runner is None:
        console.print("no process is following the jobs" if status.jobs else "no process is running this sweep")
        return
    runner = status.runner
    console.print(f"process {runner.pid} on {runner.host} has been running this sweep since {runner.since}")
    for active in status.active:
        console.print(f"active: {active.run}: {active.phase}, step {active.step} of {active.steps}", highlight=False)


def _print_jobs(status: StatusDocument, console: Console) -> None:
    if status.no_answer:
        console.print(status.no_answer, highlight=False)
    table = Table(box=box.SIMPLE_HEAD, title="jobs", title_justify="left", pad_edge=False)
    for name in ("job", "nodes", "runs done"):
        table.add_column(name, justify="right")
    table.add_column("state", overflow="fold")
    for job in status.jobs:
        table.add_row(job.job or "", str(job.nodes), f"{job.done} of {job.runs}", job.state)
    console.print(table)


def _results(folder: SweepFolder, run_ids: Iterable[str]) -> tuple[dict[str, Result], dict[str, str]]:
    """Return results by run id, and for each run whose result a newer xffl-bench wrote the sentence that says so.

    The results are without their figures, of which a large sweep has gigabytes.
    """
    found: dict[str, Result] = {}
    newer: dict[str, str] = {}
    started = folder.started()
    for run_id in filter(started.__contains__, run_ids):
        try:
            result = folder.result(run_id)
        except InputError as error:
            newer[run_id] = str(error)
            continue
        if result is not None:
            found[run_id] = result.model_copy(update={"measured": None})
    return found, newer


def _jobs(folder: SweepFolder, known: dict[str, Result]) -> tuple[list[JobState], str]:
    """Return every job with its recorded state, or else the scheduler's; and why that did not answer, or "".

    Args:
        known: results by run id, which need not be read again.

    """
    jobs, seen, no_answer = job_folders(folder), {}, ""
    if live := live_jobs(folder):
        scheduler = batch_scheduler_of(jobs[-1].order().system)
        try:
            seen = scheduler.look(list(live))
        except SchedulerError as error:
            no_answer = f"{scheduler.title} does not respond: {error}"
    return [_job(folder, job, seen, known) for job in jobs], no_answer


def _job(folder: SweepFolder, job: JobFolder, seen: dict[str, JobStatus], known: dict[str, Result]) -> JobState:
    order, submitted, end = job.order(), job.submitted, job.end
    ids = [run.id for run in order.runs]
    results = [known[run_id] for run_id in ids if run_id in known]
    results += _results(folder, [run_id for run_id in ids if run_id not in known])[0].values()
    if end is not None:
        state = f"{end.state}: {end.said}; {end.node_hours:.3f} node-hours"
    elif submitted is None:
        state = "not submitted"
    else:
        now = seen.get(submitted.id)
        state = f"{now.state} ({now.reason})" if now is not None else "unknown to the scheduler"
    return JobState(
        job=submitted.id if submitted else None,
        nodes=order.nodes,
        runs=len(order.runs),
        done=sum(result.outcome.is_final for result in results),
        state=state,
    )
