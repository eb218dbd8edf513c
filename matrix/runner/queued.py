"""Runs in active jobs, which a runner inside another allocation leaves to them."""

from __future__ import annotations

from matrix.schedulers.base import Scheduler
from matrix.schedulers.states import meaning
from matrix.store.jobs import job_folders, live_jobs
from matrix.store.sweep_folder import SweepFolder


def at_work(sweep: SweepFolder, scheduler: Scheduler) -> dict[str, str]:
    """Return the job id of each run that is in an active job.

    Raises:
        SchedulerError: the scheduler does not answer.

    """
    live = live_jobs(sweep)
    for job in job_folders(sweep):
        if job.end is None and job.submitted is None:  # possibly submitted by hand
            live |= dict.fromkeys(scheduler.named(job.order().name), job)
    seen = scheduler.look(list(live))
    return {
        run.id: job_id
        for job_id, job in live.items()
        if job_id in seen and meaning(seen[job_id].state) is None
        for run in job.order().runs
    }
