"""The process group of the world, and the subgroups of a layout."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from bench.contract.layout import Layout
from bench.contract.run import Run


@dataclass(frozen=True)
class Position:
    """Position of a rank, from the environment variables that every launcher sets."""

    rank: int
    world: int
    local_rank: int
    local_world: int
    node: int

    @classmethod
    def from_environment(cls) -> Position:
        """Read the environment; raise RuntimeError if a variable is missing or ranks are not numbered node by node."""
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK")
        missing = [name for name in (*names, "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
        if missing:
            raise RuntimeError(f"{', '.join(missing)} not set: start this with torchrun or xffl exec")
        position = cls(*(int(os.environ[name]) for name in names))
        if position.rank != position.node * position.local_world + position.local_rank:
            raise RuntimeError(f"ranks must be numbered node by node, since shard groups depend on it; got {position}")
        return position

    def device(self, kind: str) -> torch.device:
        """Return the rank's device."""
        return torch.device("cuda", self.local_rank) if kind == "cuda" else torch.device("cpu")


@dataclass(frozen=True)
class Groups:
    """Communicators of a rank.

    Attributes:
        shard_mesh: mesh for `fully_shard`: (shard,) or (replicate, shard); None if nothing is sharded.
        replicas: ranks with the same unsharded model (DDP); None with one replica or a sharded model.
        holders: `cuda_streams` communicators over all ranks of the federation with the same shard index; empty
            without a federation.

    """

    shard_mesh: DeviceMesh | None
    replicas: dist.ProcessGroup | None
    holders: list[dist.ProcessGroup]


@contextmanager
def process_group(device: torch.device, timeout: float) -> Iterator[None]:
    """Create the world's process group for the duration of the block: NCCL on GPUs, gloo on CPUs.

    `timeout` (seconds) limits the collectives of the world; other groups have the backend's default. On an error the
    group is not destroyed: that can hang with ranks missing, and the error must be reported.
    """
    if device.type == "cuda":
        torch.cuda.set_device(device)
        dist.init_process_group("nccl", timeout=timedelta(seconds=timeout), device_id=device)
    else:
        dist.init_process_group("gloo", timeout=timedelta(seconds=timeout))
    yield
    dist.barrier()
    dist.destroy_process_group()


def wait_for_all(alive: Callable[[], None]) -> None:
    """Wait in a barrier of the world, calling `alive` meanwhile."""
    work = dist.barrier(async_op=True)
    if work is None:
        raise RuntimeError("this rank is not in the world's process group")
    while not work.is_completed():
        alive()
        time.sleep(0.01)
    work.wait()


def check_world(run: Run, position: Position) -> None:
    """Raise RuntimeError if the launcher started another number of ranks or nodes than the run needs."""
    if (position.world, position.local_world) != (run.world, run.ranks_per_node):
        raise RuntimeError(
            f"the run needs {run.nodes} x {run.ranks_per_node} ranks, but the launcher started {position.world}, "
            f"{position.local_world} of them on this node"
        )


def _ranks_by(layout: Layout, column: int) -> list[list[int]]:
    """Return groups of ranks: column 1: replicas of a shard within a group; column 2: all holders of a shard index."""
    if column == 1:
        return [
            [group * layout.group + replica * layout.shard + shard for replica in range(layout.replicate)]
            for group in range(layout.federation)
            for shard in range(layout.shard)
        ]
    return [list(range(shard, layout.world, layout.shard)) for shard in range(layout.shard)]


def _own_group(memberships: list[list[int]], rank: int) -> dist.ProcessGroup:
    """Create one group per list, in the same order on all ranks, and return this rank's group."""
    own: dist.ProcessGroup | None = None
    for ranks in memberships:
        group = dist.new_group(ranks)
        if rank in ranks:
            own = group
    if own is None:
        raise RuntimeError(f"rank {rank} is in none of the groups {memberships}")
    return own


def make_groups(run: Run, rank: int, device: torch.device) -> Groups:
    """Create the communicators of a run's layout. Collective over the world."""
    layout = run.layout
    shard_mesh: DeviceMesh | None = None
    replicas: dist.ProcessGroup | None = None
    if run.is_sharded:
        sizes = {"federation": layout.federation, "replicate": layout.replicate, "shard": layout.shard}
        kept = {name: size for name, size in sizes.items() if size > 1 or name == "shard"}
        mesh = init_device_mesh(device.type, tuple(kept.values()), mesh_dim_names=tuple(kept))
        inside = tuple(name for name in kept if name != "federation")
        # With one replica the mesh must be one-dimensional: two dimensions make FSDP2 all-reduce every gradient.
        shard_mesh = mesh if len(inside) == len(kept) else mesh[inside if len(inside) > 1 else inside[0]]
    elif layout.replicate > 1:
        replicas = _own_group(_ranks_by(layout, 1), rank)
    holders: list[dist.ProcessGroup] = []
    if layout.federation > 1:
        holders = [_own_group(_ranks_by(layout, 2), rank) for _ in range(run.cuda_streams)]
    return Groups(shard_mesh, replicas, holders)
