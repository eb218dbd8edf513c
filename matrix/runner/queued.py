"""A sweep's jobs in the queue, and the runs in active ones, which a runner inside another allocation leaves to them."""

from __future__ import annotations

from matrix.schedulers.base import Scheduler
from matrix.schedulers.states import meaning
from matrix.store.jobs import JobFolder, job_folders, live_jobs
from matrix.store.sweep_folder import SweepFolder


def queued(sweep: SweepFolder, scheduler: Scheduler) -> dict[str, JobFolder]:
    """Return the jobs without a recorded end, by id, also those whose submission is not recorded: by hand, say.

    Raises:
        SchedulerError: the scheduler does not answer.

    """
    found = live_jobs(sweep)
    for job in job_folders(sweep):
        if job.end is None and job.submitted is None:
            found |= dict.fromkeys(scheduler.named(job.order().name), job)
    return found


def at_work(sweep: SweepFolder, scheduler: Scheduler) -> dict[str, str]:
    """Return the job id of each run that is in an active job.

    Raises:
        SchedulerError: the scheduler does not answer.

    """
    live = queued(sweep, scheduler)
    seen = scheduler.look(list(live))
    return {
        run.id: job_id
        for job_id, job in live.items()
        if job_id in seen and meaning(seen[job_id].state) is None
        for run in job.order().runs
    }
