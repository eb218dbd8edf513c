"""`xffl-bench job`: the process of a batch job, on its first node. It runs the job's runs and nothing else."""

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

from bench.contract.result import JobEnd
from bench.contract.run import Run
from matrix.batch.closing import explained
from matrix.batch.preflight import look_before
from matrix.errors import InputError, LostHostError
from matrix.host.signals import stop_signals
from matrix.image.image import Image
from matrix.runner.execute import waiting_at
from matrix.runner.runner import Summary
from matrix.runner.session import Here, run_here, site_of, with_library
from matrix.schedulers.base import HeldAllocation, Scheduler, SchedulerError
from matrix.schedulers.dispatch import batch_scheduler_of
from matrix.schedulers.states import ENDS, RUNNING, meaning
from matrix.store.claim import claim
from matrix.store.estimate import Expected
from matrix.store.jobs import JobFolder, JobOrder, job_folders
from matrix.store.settle import LostJob
from matrix.store.sweep_folder import SweepRecord


def run_job(path: Path, console: Console) -> Summary:
    """Run what a job still lacks.

    Raises:
        InputError: this is no job of a sweep, or one that has ended before; or what is installed on this node differs
            from what the sweep was begun with.
        SchedulerError: the scheduler does not answer.
        LostClaimError, LostHostError, StuckError, KeyboardInterrupt, OSError: as `run_here`.

    """
    folder = JobFolder(path)
    order, sweep = folder.order(), folder.sweep
    scheduler = batch_scheduler_of(order.system)
    allocated, record = _patiently(lambda: scheduler.held(os.environ)), sweep.record()
    if allocated is None:
        raise InputError(f"{path}: runs inside a job of {scheduler.title} only: {scheduler.submits_by} {folder.script}")
    if record is None:
        raise InputError(f"{sweep.path}: no sweep was begun here")
    system = order.system.on(allocated.allocation.hosts)
    image = Image(system.image) if system.image else None
    _check_software(record, image, allocated)
    with _warning() as warned_at, stop_signals(), claim(folder.runners, waiting_at(sweep, console)) as own:
        if (end := folder.end) is not None:  # its runs are another job's by now
            raise InputError(f"{path}: this job has ended before ({end.state}: {end.said}); `xffl-bench run` goes on")
        folder.submitted_as(allocated.allocation.job)  # also if it was submitted by hand
        folder.started(allocated.allocation.job, own.number)
        console.print(
            f"job {allocated.allocation.job}: {len(order.runs)} runs on {', '.join(allocated.allocation.hosts)}, "
            f"{allocated.left / 60:.0f} minutes left",
            highlight=False,
        )
        dead = _dead(folder, record, scheduler)
        here = Here(sweep, record, system, image, own, folder.owner(record), allocated, console, dead)
        site = site_of(system, sweep, order.runs)
        death = _earlier_start(folder, allocated.allocation.job, scheduler)
        if death is not None:
            explained(folder, [run.id for run in order.runs], death)
        try:
            wants_preflight = here.has_steps and system.slurm.preflight
            for sentence in look_before(here, folder, order.runs[0]) if wants_preflight else ():
                console.print(sentence, highlight=False)
            summary = run_here(
                here,
                with_library(order.runs, site, image, console),
                site,
                to_settle=[run.id for run in order.runs],
                retry_failed=order.retry_failed,
                death=death,
                hindrance=_hindrance(folder, order, allocated, warned_at),
            )
        except LostHostError as error:
            _ends(folder, order, allocated, scheduler, "NODE_FAIL", str(error))
            raise
        _ends(folder, order, allocated, scheduler, "COMPLETED", ENDS["COMPLETED"].said)
        return summary


T = TypeVar("T")

PATIENCE = 600.0
"""Seconds for an answer to a job that has its nodes."""


def _patiently(ask: Callable[[], T]) -> T:
    """Return the answer, if it comes within some minutes: a job that waited long does not end for a busy controller.

    Raises:
        SchedulerError: it did not come.

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
    folder: JobFolder, order: JobOrder, allocated: HeldAllocation, scheduler: Scheduler, state: str, said: str
) -> None:
    """Record how this job ends, for those who look once the scheduler has forgotten it, which may take minutes only.

    A lost node is recorded before the scheduler counts it as dead. If the scheduler is ending the job, it knows why.
    """
    job = allocated.allocation.job
    seen = _patiently(lambda: scheduler.look([job])).get(job)
    if folder.end is not None:  # it was taken for dead meanwhile
        return
    if state != "COMPLETED":
        if seen is None or seen.state != RUNNING:
            return
        explained(folder, [run.id for run in order.runs], LostJob(job, state, said, ENDS[state].counts))
    folder.ended(JobEnd(id=job, state=state, said=said, seconds=seen.seconds if seen else 0.0, nodes=order.nodes))


def _dead(own: JobFolder, record: SweepRecord, scheduler: Scheduler) -> tuple[str, ...]:
    """Return the owners of other jobs that did not come to their end, also if nobody has recorded that yet."""
    others = [job for job in job_folders(own.sweep) if job.number != own.number]
    ended = [job for job in others if job.end is not None and job.end.state != "COMPLETED"]
    begun = {job.submitted.id: job for job in others if job.end is None and job.submitted is not None}
    seen = _patiently(lambda: scheduler.look(list(begun)))
    ended += [job for id, job in begun.items() if id not in seen or meaning(seen[id].state) is not None]
    return tuple(job.owner(record) for job in ended)


def _check_software(record: SweepRecord, image: Image | None, allocated: HeldAllocation) -> None:
    """Raises InputError: this node has other software than the sweep was begun with."""
    changes = record.changes(record.with_software_of_this_machine(image.digest if image else None))
    if changes:
        raise InputError(
            f"{allocated.allocation.hosts[0]}: has other software than the sweep was begun with "
            f"({'; '.join(changes)}): submit from where the same is installed, on a file system that all nodes see"
        )


def _earlier_start(folder: JobFolder, job: str, scheduler: Scheduler) -> LostJob | None:
    """Return what became of the runner before if the scheduler has started this job again; its log may say why."""
    if scheduler.restarts(os.environ) == 0:
        return None
    state = scheduler.end_in_log(folder.printed(job, before_last_start=True))
    if state not in ENDS:
        return LostJob(job, "REQUEUED", f"{scheduler.title} started it again", counts=state is None)
    return LostJob(job, state, ENDS[state].said, ENDS[state].counts)


def _hindrance(
    folder: JobFolder, order: JobOrder, allocated: HeldAllocation, warned_at: Callable[[], float]
) -> Callable[[Run], str]:
    """Return why a run must not start, as a function.

    It may not be over when the job ends, by the end known at its start or by the scheduler's warning; or the job was
    taken for dead, and its runs are another job's by now.
    """
    expected = Expected(folder.sweep.result, order.runs)

    def hindrance(run: Run) -> str:
        if (end := folder.end) is not None:
            return f"this job was taken for ended ({end.state})"
        needed = expected.seconds(run)
        left = min(allocated.left, warned_at() + order.system.batch.warn_seconds - time.time())
        if needed > left:
            return f"it may take {needed:.0f} s, and the job ends in {left:.0f} s"
        return ""

    return hindrance


@contextmanager
def _warning() -> Iterator[Callable[[], float]]:
    """Yield when the scheduler's warning signal came, in seconds since 1970; infinite while it has not."""
    came = math.inf

    def warned(number: int, frame: FrameType | None) -> None:
        nonlocal came
        came = min(came, time.time())

    before = signal.signal(signal.SIGUSR1, warned)
    try:
        yield lambda: came
    finally:
        signal.signal(signal.SIGUSR1, before)
