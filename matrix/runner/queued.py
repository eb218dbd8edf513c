"""Runs that belong to jobs in the queue, for a runner that has hosts of its own."""

from __future__ import annotations

from matrix.schedulers.slurm import commands
from matrix.schedulers.slurm.states import meaning
from matrix.store.jobs import job_folders, live_jobs
from matrix.store.sweep_folder import SweepFolder


def at_work(sweep: SweepFolder) -> dict[str, str]:
    """Runs that jobs in Slurm's hands are to do, each with the job's id.

    Raises:
        SlurmError: Slurm does not answer.

    """
    live = live_jobs(sweep)
    for job in job_folders(sweep):
        if job.end is None and job.submitted is None:  # by hand, perhaps
            live |= dict.fromkeys(commands.named(job.order().name), job)
    seen = commands.look(list(live))
    return {
        run.id: job_id
        for job_id, job in live.items()
        if job_id in seen and meaning(seen[job_id].state) is None
        for run in job.order().runs
    }
