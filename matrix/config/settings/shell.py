"""The block `shell` of a system file."""

from __future__ import annotations

from pydantic import Field, PositiveFloat, PositiveInt

from matrix.config.settings.batch import BatchSettings


class ShellSettings(BatchSettings):
    """The block `shell` of a system file: batch jobs that are processes of this machine."""

    jobs_at_once: PositiveInt = Field(1, description="jobs that run at the same time; the others wait their turn")
    warn_seconds: PositiveInt = Field(
        5, description="margin before the end of a job: no run starts that may not finish before it"
    )
    poll_seconds: PositiveFloat = Field(1.0, description="time between two queries of the queue")
