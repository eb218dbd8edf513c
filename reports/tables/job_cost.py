"""The cost of a sweep's batch jobs."""

from __future__ import annotations

from collections import Counter

from bench.contract.results.result import CANCELLED, is_failure
from reports.data.frame import LoadedSweep
from reports.data.words import counted


def cost(sweep: LoadedSweep) -> str:
    """Return a sentence on the jobs that ended: their node-hours, the frames' runs' share, failed jobs.

    Nodes of an allocation that a smaller run did not use are named beside the runs.
    """
    hours = sum(job.node_hours for job in sweep.jobs)
    ids = {job.id for job in sweep.jobs}
    used = idle = 0.0
    runs = {*sweep.frame["run"], *sweep.breakdown_records}
    for run, result in sweep.results.items():
        if run in runs and result.allocation is not None and result.allocation.job in ids:
            nodes = sweep.runs[run].nodes
            used += nodes * result.seconds / 3600
            idle += (len(result.allocation.hosts) - nodes) * result.seconds / 3600
    share = f" ({100 * used / hours:.0f} %)" if hours else ""
    beside = f" and {idle:.3f} ({100 * idle / hours:.0f} %) in nodes idle beside them" if hours and idle > 0 else ""
    failed = Counter(job.state for job in sweep.jobs if is_failure(job.state))
    cancelled = sum(job.state == CANCELLED for job in sweep.jobs)
    states = ", ".join(f"{count} {state}" for state, count in failed.most_common())
    return (
        f"{counted(len(sweep.jobs), 'job')}: {hours:.3f} node-hours, of which {used:.3f}{share} in the runs above"
        + beside
        + (f"; failed jobs: {states}" if failed else "")
        + (f"; cancelled jobs: {cancelled}" if cancelled else "")
    )
