"""The block `slurm` of a system file."""

from __future__ import annotations

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from bench.contract.base import Document


class SlurmSettings(Document):
    """The block `slurm` of a system file. Slurm's defaults apply to what is not given."""

    account: str | None = Field(None, description="account to charge")
    partition: str | None = Field(None, description="partition")
    qos: str | None = Field(None, description="quality of service")
    constraint: str | None = Field(None, description="required node features")
    gres: str | None = Field(None, description="generic resources per node (on GPUs gpu:N, N the ranks per node)")
    cores_per_node: PositiveInt | None = Field(
        None, description="cores per node (ranks_per_node x threads_per_rank; whole nodes provide all their cores)"
    )
    exclusive: bool = Field(
        True, description="allocate whole nodes: other users' jobs on the same nodes would distort the measurement"
    )
    sbatch: list[str] = Field(
        default_factory=list, description="more options for sbatch, one per item, for example --hint=nomultithread"
    )
    srun: list[str] = Field(default_factory=list, description="more options for every call of srun")
    modules: list[str] = Field(default_factory=list, description="environment modules to load first in a job")
    setup: list[str] = Field(default_factory=list, description="shell commands to run first in a job")
    job_minutes: PositiveInt = Field(120, description="time limit of a job; runs are packed into jobs by it")
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
    preflight: bool = Field(True, description="measure devices and network at the start of every job")
    report: bool = Field(False, description="with --detach: write the report in a separate job, after all others")
