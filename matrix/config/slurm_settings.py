"""What a system file says of a Slurm cluster."""

from __future__ import annotations

from pydantic import Field, PositiveInt

from matrix.config.batch_settings import BatchSettings


class SlurmSettings(BatchSettings):
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
    preflight: bool = Field(True, description="measure devices and network at the beginning of every job")
