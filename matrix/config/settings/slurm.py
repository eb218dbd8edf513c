"""The block `slurm` of a system file."""

from __future__ import annotations

from pydantic import Field, PositiveInt

from matrix.config.settings.batch import BatchSettings


class SlurmSettings(BatchSettings):
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
    preflight: bool = Field(True, description="measure devices and network at the start of every job")
