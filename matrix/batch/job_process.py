"""`xffl-bench job`: the process on a job's first node that executes the job's runs."""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TypeVar

from rich.console import Console

from bench.contract.results.result import JobEnd
from bench.contract.run import Run
from matrix.batch.closing import explained
from matrix.batch.preflight import look_before
from matrix.errors import InputError, LostHostError, SchedulerError
from matrix.host.signals import stop_signals
from matrix.image.image import Image
from matrix.runner.execute import waiting_at
from matrix.runner.runner import Summary
from matrix.runner.session import Here, run_here, site_of, with_library
from matrix.schedulers.base import HeldAllocation, Scheduler
from matrix.schedulers.dispatch import batch_scheduler_of
from matrix.schedulers.states import ENDS, RUNNING, meaning
from matrix.store.ahead import searching
from matrix.store.claim import Claim, claim
from matrix.store.estimate import Expected
from matrix.store.jobs import JobFolder, JobOrder, job_folders
from matrix.store.settle import LostJob
from matrix.store.sweep_record import SweepRecord
from reports.data.words import counted


def run_job(path: Path, console: Console) -> Summary:
    """Execute the unfinished runs of a job.

    Raises:
        InputError: `path` is not a job of a sweep, the job has already ended, or the software on this node differs from
            that of the sweep.
        SchedulerError: the scheduler does not answer.
        LostClaimError, LostHostError, StuckError, KeyboardInterrupt, OSError: as `run_here`.

    """
    folder = JobFolder(path)
    order, sweep = folder.order(), folder.sweep
    scheduler = batch_scheduler_of(order.system)
    allocated, record = _patiently(lambda: scheduler.held(os.environ)), sweep.record()
    if allocated is None:
        raise InputError(f"{path}: not inside a job of {scheduler.title}: use {scheduler.submits_by} {folder.script}")
    if record is None:
        raise InputError(f"{sweep.path}: not a sweep: sweep.json is missing")
    system = order.system.on(allocated.allocation.hosts)
    image = Image(system.image) if system.image else None
    _check_software(record, image, allocated)
    with (
        _warning() as warned_at,
        stop_signals(),
        claim(folder.runners, waiting_at(sweep, console), lambda: folder.closed) as own,
    ):
        if folder.closed:
            raise InputError(f"{folder.closed}: resume with `xffl-bench run`")
        folder.submitted_as(allocated.allocation.job)  # also needed if it was submitted by hand
        folder.started(allocated.allocation.job, own.number)
        console.print(
            f"job {allocated.allocation.job}: {counted(len(order.runs), 'run')} "
            f"on {', '.join(allocated.allocation.hosts)}, {allocated.left / 60:.0f} minutes left",
            highlight=False,
        )
        dead = _dead(folder, record, scheduler)
        here = Here(sweep, record, system, image, own, folder.owner(record), allocated, console, dead)
        site = site_of(system, sweep, order.runs)
        death = _earlier_start(folder, allocated.allocation.job, scheduler)
        if death is not None:
            explained(folder, [run.id for run in order.runs], death, own)
        try:
            largest = max(order.runs, key=lambda run: run.nodes)  # nested runs are on some of the nodes only
            wants_preflight = here.has_steps and system.slurm.preflight
            preflight, lines = look_before(here, folder, largest) if wants_preflight else (None, [])
            for line in lines:
                console.print(line, highlight=False)
            summary = run_here(
                here,
                with_library(order.runs, site, image, console),
                site,
                to_settle=[run.id for run in order.runs],
                retry_failed=order.retry_failed,
                death=death,
                preflight=preflight,
                hindrance=_hindrance(folder, order, allocated, warned_at),
            )
        except LostHostError as error:
            _ends(folder, order, allocated, scheduler, own, "NODE_FAIL", str(error))
            raise
        _ends(folder, order, allocated, scheduler, own, "COMPLETED", ENDS["COMPLETED"].said)
        return summary


T = TypeVar("T")

PATIENCE = 600.0
"""Seconds that a running job waits for the scheduler to answer."""


def _patiently(ask: Callable[[], T]) -> T:
    """Call `ask` until it succeeds, for up to PATIENCE seconds, so that a busy controller does not end a job.

    Raises:
        SchedulerError: it did not succeed in time.

    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return ask()
        except SchedulerError:
            if time.monotonic() > deadline:
                raise
            time.sleep(10)


def _ends(
    folder: JobFolder,
    order: JobOrder,
    allocated: HeldAllocation,
    scheduler: Scheduler,
    own: Claim,
    state: str,
    said: str,
) -> None:
    """Record how this job ends: schedulers forget jobs, some within minutes.

    A lost node is recorded before the scheduler notices it. If the scheduler is ending the job, it knows the cause.
    """
    job = allocated.allocation.job
    seen = _patiently(lambda: scheduler.look([job])).get(job)
    if folder.end is not None:  # another process has closed it meanwhile
        return
    if state != "COMPLETED":
        if seen is None or seen.state != RUNNING:
            return
        explained(folder, [run.id for run in order.runs], LostJob(job, state, said, ENDS[state].counts), own)
    own.check()
    folder.ended(JobEnd(id=job, state=state, said=said, seconds=seen.seconds if seen else 0.0, nodes=order.nodes))


def _dead(own: JobFolder, record: SweepRecord, scheduler: Scheduler) -> tuple[str, ...]:
    """Return the owners of other jobs that did not complete, whether or not that is recorded yet."""
    others = [job for job in job_folders(own.sweep) if job.number != own.number]
    ended = [job for job in others if job.end is not None and job.end.state != "COMPLETED"]
    begun = {job.submitted.id: job for job in others if job.end is None and job.submitted is not None}
    seen = _patiently(lambda: scheduler.look(list(begun)))
    ended += [job for id, job in begun.items() if id not in seen or meaning(seen[id].state) is not None]
    return tuple(job.owner(record) for job in ended)


def _check_software(record: SweepRecord, image: Image | None, allocated: HeldAllocation) -> None:
    """Raise InputError if the software on this node differs from that of the sweep."""
    changes = record.changes(record.with_software_of_this_machine(image.digest if image else None))
    if changes:
        raise InputError(
            f"{allocated.allocation.hosts[0]}: software differs from that of the sweep "
            f"({'; '.join(changes)}): submit from the same installation, on a file system that all nodes share"
        )


def _earlier_start(folder: JobFolder, job: str, scheduler: Scheduler) -> LostJob | None:
    """Return how this job's previous start ended if the scheduler has restarted it; the log may have the reason."""
    if scheduler.restarts(os.environ) == 0:
        return None
    state = scheduler.end_in_log(folder.printed(job, before_last_start=True))
    if state not in ENDS:
        return LostJob(job, "REQUEUED", f"{scheduler.title} restarted it", counts=state is None)
    return LostJob(job, state, ENDS[state].said, ENDS[state].counts)


def _hindrance(
    folder: JobFolder, order: JobOrder, allocated: HeldAllocation, warned_at: Callable[[], float]
) -> Callable[[Run], str]:
    """Return a function that gives the reason why a run must not start, or "".

    Either the run may not finish before the job ends, by the end known at its start or by the scheduler's warning; or
    the job was closed meanwhile, and its runs may be in another job.
    """
    expected, ahead = Expected(folder.sweep.result, order.runs), searching(folder.sweep)

    def hindrance(run: Run) -> str:
        if (end := folder.end) is not None:
            return f"this job has been closed ({end.state})"
        needed = expected.seconds(run) + ahead(run).seconds
        left = min(allocated.left, warned_at() + order.system.batch.warn_seconds - time.time())
        if needed > left:
            return f"it may take {needed:.0f} s, and the job ends in {left:.0f} s"
        return ""

    return hindrance


@contextmanager
def _warning() -> Iterator[Callable[[], float]]:
    """Yield a function that returns when the warning signal came (seconds since 1970), or infinity before it."""
    came = math.inf

    def warned(number: int, frame: FrameType | None) -> None:
        nonlocal came
        came = min(came, time.time())

    before = signal.signal(signal.SIGUSR1, warned)
    try:
        yield lambda: came
    finally:
        signal.signal(signal.SIGUSR1, before)
