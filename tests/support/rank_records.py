"""Records of ranks by hand."""

from __future__ import annotations

from bench.contract.results.measured import Startup
from bench.measure.machine import MachineUse
from bench.measure.window import RankRecord, Trained


def record(rank: int, cores: int, own: list[int], host: str = "a", machine: str = "m") -> RankRecord:
    """A rank that may use `own` of its host's `cores`, and reported nothing else."""
    return RankRecord(
        rank=rank,
        host=host,
        machine=machine,
        local_rank=rank,
        device="cpu",
        cores=cores,
        own_cores=own,
        cpu="processor",
        trained=Trained([], [], [], [], [], [], []),
        memory={},
        startup=Startup(rendezvous=0, model=0, data=0, first_step=0),
        matmul=1.0,
        use=MachineUse(cores=2, seconds=1.0, idle=1.0, own=1.0, load=1.0, throttled=None),
    )
