"""The allocation that this process is in, if it is in one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from bench.contract.result import Allocation
from matrix.schedulers.slurm import commands


@dataclass(frozen=True)
class Held:
    """An allocation from within.

    Attributes:
        allocation: its job, hosts and switches.
        ends: when it ends, in seconds since 1970; infinite where it does not.

    """

    allocation: Allocation
    ends: float

    @property
    def left(self) -> float:
        """Seconds until its end."""
        return self.ends - time.time()


def held(environment: Mapping[str, str]) -> Held | None:
    """What the variables of this process say of an allocation.

    Raises:
        SlurmError: Slurm does not answer.

    """
    job, nodes = environment.get("SLURM_JOB_ID"), environment.get("SLURM_JOB_NODELIST")
    if job is None or nodes is None:
        return None
    hosts = commands.host_names(nodes)
    return Held(Allocation(job=job, hosts=hosts, switches=commands.switches(hosts)), _end(job))


def _end(job: str) -> float:
    # Not SLURM_JOB_END_TIME: an administrator can have changed it since the job began.
    said = commands.end_time(job)
    try:
        return datetime.fromisoformat(said).timestamp()  # in the zone of the host, as Slurm prints it
    except ValueError:  # NONE, N/A: no limit
        return float("inf")
