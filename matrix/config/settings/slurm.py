"""The block `slurm` of a system file."""

from __future__ import annotations

import re

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
        default_factory=list,
        description="more options for sbatch, one per item, for example --hint=nomultithread; with "
        "--clusters=NAME all jobs are on that cluster",
    )
    srun: list[str] = Field(default_factory=list, description="more options for every call of srun")
    preflight: bool = Field(True, description="measure devices and network at the start of every job")

    @property
    def clusters(self) -> dict[int, str]:
        """Values of sbatch's option for clusters, by position in `sbatch`."""
        found = ((place, _CLUSTERS.fullmatch(option)) for place, option in enumerate(self.sbatch))
        return {place: match[1] for place, match in found if match is not None}

    @property
    def cluster(self) -> str:
        """Cluster that jobs are submitted to, "" for the default one."""
        return next(reversed(self.clusters.values()), "")


_CLUSTERS = re.compile(r"(?:--clusters?[= ]|-M)\s*['\"]?([^'\"]*)['\"]?\s*")
