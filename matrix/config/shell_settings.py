"""What a system file says of batch jobs that are processes of this machine."""

from __future__ import annotations

from pydantic import Field, PositiveFloat, PositiveInt

from matrix.config.batch_settings import BatchSettings


class ShellSettings(BatchSettings):
    """The block `shell` of a system file."""

    jobs_at_once: PositiveInt = Field(1, description="jobs that run at the same time; the others wait their turn")
    warn_seconds: PositiveInt = Field(5, description="before a job's end: no run starts that may not be over by then")
    poll_seconds: PositiveFloat = Field(1.0, description="between two looks at the queue")
