"""What a sweep's batch jobs cost, in one sentence."""

from __future__ import annotations

from collections import Counter

from reports.data.frame import LoadedSweep
from reports.data.words import counted


def cost(sweep: LoadedSweep) -> str:
    """How many jobs have ended, their node-hours, how much of that results took, and which ended badly."""
    hours = sum(job.node_hours for job in sweep.jobs)
    ids = {job.id for job in sweep.jobs}
    used = sum(
        sweep.runs[run].nodes * result.seconds / 3600
        for run, result in sweep.results.items()
        if result.allocation is not None and result.allocation.job in ids
    )
    share = f" ({used / hours:.0%})" if hours else ""
    badly = Counter(job.state for job in sweep.jobs if job.state != "COMPLETED")
    states = ", ".join(f"{count} {state}" for state, count in badly.most_common())
    return (
        f"{counted(len(sweep.jobs), 'job')}: {hours:.3f} node-hours, of which the runs above took {used:.3f}{share}"
        + (f"; ended badly: {states}" if badly else "")
    )
