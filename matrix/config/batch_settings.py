"""What a system file says of batch jobs, whatever the scheduler."""

from __future__ import annotations

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from bench.contract.base import Document


class BatchSettings(Document):
    """Keys that the block of every scheduler has."""

    modules: list[str] = Field(default_factory=list, description="modules to load before anything starts")
    setup: list[str] = Field(default_factory=list, description="lines of shell before anything starts")
    job_minutes: PositiveInt = Field(120, description="longest time of one job; runs are packed into jobs by it")
    warn_seconds: PositiveInt = Field(120, description="before a job's end: no run starts that may not be over by then")
    retries: NonNegativeInt = Field(2, description="extra jobs allowed for an unfinished run")
    confirm_node_hours: NonNegativeFloat | None = Field(
        None, description="a sweep that may cost more is asked for confirmation (--yes confirms)"
    )
    max_jobs: PositiveInt | None = Field(None, description="jobs of a sweep in the queue at a time")
    queue_hours: PositiveFloat | None = Field(
        None, description="a job that has not started by then is cancelled (it may wait for ever)"
    )
    poll_seconds: PositiveFloat = Field(10.0, description="between two looks at the queue")
    report: bool = Field(False, description="with --detach: the report is a job of its own, after all others")
