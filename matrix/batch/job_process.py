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
from matrix.schedulers.slurm import commands
from matrix.schedulers.slurm.allocation import Held, held
from matrix.schedulers.slurm.states import ENDS, in_log, meaning
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
        SlurmError: Slurm does not answer.
        LostClaimError, LostHostError, StuckError, KeyboardInterrupt, OSError: as `run_here`.

    """
    folder = JobFolder(path)
    order, sweep = folder.order(), folder.sweep
    allocated, record = commands.patiently(lambda: held(os.environ)), sweep.record()
    if allocated is None:
        raise InputError(f"{path}: runs inside a Slurm job only: sbatch {folder.script}")
    if record is None:
        raise InputError(f"{sweep.path}: no sweep was begun here")
    system = order.system.on(allocated.allocation.hosts)
    image = Image(system.image) if system.image else None
    _check_software(record, image, allocated)
    with _warning() as warned_at, stop_signals(), claim(folder.runners, waiting_at(sweep, console)) as own:
        if (end := folder.end) is not None:  # its runs are another job's by now
            raise InputError(f"{path}: this job has ended before ({end.state}: {end.said}); `xffl-bench run` goes on")
        folder.submitted_as(allocated.allocation.job)  # also where it was submitted by hand
        console.print(
            f"job {allocated.allocation.job}: {len(order.runs)} runs on {', '.join(allocated.allocation.hosts)}, "
            f"{allocated.left / 60:.0f} minutes left",
            highlight=False,
        )
        here = Here(sweep, record, system, image, own, folder.owner(record), allocated, console, _dead(folder, record))
        site = site_of(system, sweep, order.runs)
        death = _earlier_start(folder, allocated.allocation.job)
        if death is not None:
            explained(folder, [run.id for run in order.runs], death)
        try:
            for sentence in look_before(here, folder, order.runs[0]) if system.slurm.preflight else ():
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
            _ends(folder, order, allocated, "NODE_FAIL", str(error))
            raise
        _ends(folder, order, allocated, "COMPLETED", ENDS["COMPLETED"].said)
        return summary


def _ends(folder: JobFolder, order: JobOrder, allocated: Held, state: str, said: str) -> None:
    """Keep how this job ends, for those who look when Slurm has forgotten it, which it may do within minutes; and that
    a node was lost, before Slurm takes it for dead. Where Slurm is ending the job, why is Slurm's to say.
    """
    job = allocated.allocation.job
    seen = commands.patiently(lambda: commands.look([job])).get(job)
    if folder.end is not None:  # it was taken for dead meanwhile
        return
    if state != "COMPLETED":
        if seen is None or seen.state != "RUNNING":
            return
        explained(folder, [run.id for run in order.runs], LostJob(job, state, said, ENDS[state].counts))
    folder.ended(JobEnd(id=job, state=state, said=said, seconds=seen.seconds if seen else 0.0, nodes=order.nodes))


def _dead(own: JobFolder, record: SweepRecord) -> tuple[str, ...]:
    """Owners of other jobs that did not come to their end, also of those whose end nobody has noted yet."""
    others = [job for job in job_folders(own.sweep) if job.number != own.number]
    ended = [job for job in others if job.end is not None and job.end.state != "COMPLETED"]
    begun = {job.submitted.id: job for job in others if job.end is None and job.submitted is not None}
    seen = commands.patiently(lambda: commands.look(list(begun)))
    ended += [job for id, job in begun.items() if id not in seen or meaning(seen[id].state) is not None]
    return tuple(job.owner(record) for job in ended)


def _check_software(record: SweepRecord, image: Image | None, allocated: Held) -> None:
    """Raises InputError: this node has other software than the sweep was begun with."""
    changes = record.changes(record.with_software_of_this_machine(image.digest if image else None))
    if changes:
        raise InputError(
            f"{allocated.allocation.hosts[0]}: has other software than the sweep was begun with "
            f"({'; '.join(changes)}): submit from where the same is installed, on a file system that all nodes see"
        )


def _earlier_start(folder: JobFolder, job: str) -> LostJob | None:
    """What became of the runner before, where Slurm has started this job again; why, the job's log says where its first
    node lived.
    """
    if os.environ.get("SLURM_RESTART_COUNT", "0") == "0":
        return None
    parts = folder.printed(job).split(f"job {job}: ")  # what each process says first: the last one is this
    state = in_log(parts[-2] if len(parts) > 1 else "")
    if state not in ENDS:
        return LostJob(job, "REQUEUED", "Slurm started it again", counts=state is None)
    return LostJob(job, state, ENDS[state].said, ENDS[state].counts)


def _hindrance(
    folder: JobFolder, order: JobOrder, allocated: Held, warned_at: Callable[[], float]
) -> Callable[[Run], str]:
    """Why a run must not start: it may not be over when the job ends, by what was known at its beginning and by Slurm's
    warning; or the job was taken for dead, and its runs are others' by now.
    """
    expected = Expected(folder.sweep.result, order.runs)

    def hindrance(run: Run) -> str:
        if (end := folder.end) is not None:
            return f"this job was taken for ended ({end.state})"
        needed = expected.seconds(run)
        left = min(allocated.left, warned_at() + order.system.slurm.warn_seconds - time.time())
        if needed > left:
            return f"it may take {needed:.0f} s, and the job ends in {left:.0f} s"
        return ""

    return hindrance


@contextmanager
def _warning() -> Iterator[Callable[[], float]]:
    """When Slurm's warning signal (sbatch --signal) came, in seconds since 1970; infinite while it has not."""
    came = math.inf

    def warned(number: int, frame: FrameType | None) -> None:
        nonlocal came
        came = min(came, time.time())

    before = signal.signal(signal.SIGUSR1, warned)
    try:
        yield lambda: came
    finally:
        signal.signal(signal.SIGUSR1, before)
