"""What a system file says of a Slurm cluster."""

from __future__ import annotations

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from bench.contract.base import Document


class SlurmSettings(Document):
    """The block `slurm` of a system file. What is not given, Slurm's own defaults decide."""

    account: str | None = Field(None, description="account that pays")
    partition: str | None = Field(None, description="partition")
    qos: str | None = Field(None, description="quality of service")
    constraint: str | None = Field(None, description="features that nodes must have")
    gres: str | None = Field(None, description="generic resources per node (on GPUs gpu:N, N the ranks per node)")
    cores_per_node: PositiveInt | None = Field(
        None, description="cores per node (ranks_per_node x threads_per_rank; on whole nodes its runs have all of them)"
    )
    exclusive: bool = Field(True, description="whole nodes: other people's jobs beside a run would be measured, too")
    sbatch: list[str] = Field(
        default_factory=list, description="more options for sbatch, one to a line, for instance --hint=nomultithread"
    )
    srun: list[str] = Field(default_factory=list, description="more options for every srun")
    modules: list[str] = Field(default_factory=list, description="modules to load before anything starts")
    setup: list[str] = Field(default_factory=list, description="lines of shell before anything starts")
    job_minutes: PositiveInt = Field(120, description="longest time of one job; runs are packed into jobs by it")
    warn_seconds: PositiveInt = Field(120, description="before a job's end: no run starts that may not be over by then")
    retries: NonNegativeInt = Field(2, description="later jobs that may take a run which a job did not finish")
    confirm_node_hours: NonNegativeFloat | None = Field(
        None, description="a sweep that may cost more is asked for confirmation (--yes confirms)"
    )
    max_jobs: PositiveInt | None = Field(None, description="jobs of a sweep in the queue at a time")
    queue_hours: PositiveFloat | None = Field(
        None, description="a job that has not started by then is cancelled (it may wait for ever)"
    )
    poll_seconds: PositiveFloat = Field(10.0, description="between two looks at the queue")
    preflight: bool = Field(True, description="measure devices and network at the beginning of every job")
    report: bool = Field(False, description="with --detach: the report is a job of its own, after all others")
