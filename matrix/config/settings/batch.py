"""What a system file says of batch jobs, whatever the scheduler."""

from __future__ import annotations

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from bench.contract.base import Document


class BatchSettings(Document):
    """Keys that the block of every scheduler has."""

    modules: list[str] = Field(default_factory=list, description="environment modules to load first in a job")
    setup: list[str] = Field(default_factory=list, description="shell commands to run first in a job")
    job_minutes: PositiveInt = Field(120, description="time limit of a job; runs are packed into jobs by it")
    allocations: PositiveInt = Field(
        3, description="smallest number of jobs that the repeats of a node count are divided over, if there are as many"
    )
    nested: bool = Field(
        False,
        description="run all node counts in jobs of the largest one, in random order, so that their ratios are pairs "
        "too; nodes idle during smaller runs",
    )
    warn_seconds: PositiveInt = Field(
        120, description="margin before the end of a job: no run starts that may not finish before it"
    )
    retries: NonNegativeInt = Field(2, description="extra jobs allowed for an unfinished run")
    confirm_node_hours: NonNegativeFloat | None = Field(
        None, description="node-hours above which a sweep needs confirmation (--yes confirms)"
    )
    max_jobs: PositiveInt | None = Field(None, description="jobs of a sweep in the queue at the same time")
    queue_hours: PositiveFloat | None = Field(
        None, description="hours after which a pending job is cancelled (no limit)"
    )
    poll_seconds: PositiveFloat = Field(10.0, description="time between two queries of the queue")
    report: bool = Field(False, description="with --detach: write the report in a separate job, after all others")
