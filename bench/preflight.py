"""Measurement of an allocation's devices and links before any run, to find slow or unreachable ones early.

    python -m bench.start agent RUN.json FOLDER ... --preflight

starts ranks as for training, each of which calls `main`. Bandwidths of an all-reduce are bus bandwidths as defined by
nccl-tests (doc/PERFORMANCE.md there): 2 (n - 1) / n x bytes / time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh

from bench.contract.base import DType
from bench.contract.results.preflight import Bandwidth, DeviceSpeed, LinkSpeed, NodeSpeed, Preflight
from bench.contract.run import Run
from bench.contract.storage.files import AttemptFolder, write_document
from bench.host.affinity import bind
from bench.host.matmul import measure_matmul
from bench.host.ports import is_port_taken
from bench.host.software import provenance
from bench.host.speed import device_name
from bench.measure.progress import Progress
from bench.parallel.mesh import Position, check_world, process_group

SMALL, LARGE = 2**20, 2**24
"""Bytes of a message; the large one is sent only if the small one was quick."""

QUICK = 0.02
"""Seconds that a small message may take, so that the whole measurement takes seconds."""

TIMES = 5


def main(run: Run, folder: AttemptFolder) -> None:
    """Run the preflight on this rank and report how it ended; rank 0 writes preflight.json into the folder."""
    position = Position.from_environment()
    progress = Progress(folder, position.rank, 0, 0)
    try:
        _run(run, folder, position)
    except BaseException as error:
        progress.end(error, port_taken=is_port_taken(error))
        raise
    progress.end(None)


def _run(run: Run, folder: AttemptFolder, position: Position) -> None:
    begin = time.perf_counter()
    bind(run.system, position.local_rank, position.local_world)
    torch.set_num_threads(run.system.threads_per_rank)
    device = position.device(run.system.device)
    check_world(run, position)
    with process_group(device, timeout=run.limits.run_seconds):
        found = measure(position, run.training.computation, device)
    if found is not None:
        seconds = time.perf_counter() - begin
        write_document(folder.path / "preflight.json", found.model_copy(update={"seconds": seconds}))


def measure(position: Position, dtype: DType, device: torch.device) -> Preflight | None:
    """Measure devices and links; return the result on rank 0, None elsewhere. Collective over the world."""
    begin = time.perf_counter()
    nodes = position.world // position.local_world
    speed = DeviceSpeed(
        rank=position.rank,
        host=provenance.host(),
        local_rank=position.local_rank,
        device=device_name(device),
        matmul_flops=measure_matmul(dtype, device),
    )
    mesh = init_device_mesh(device.type, (nodes, position.local_world), mesh_dim_names=("node", "local"))
    inside = _all_reduce(mesh.get_group("local"), device)
    dist.barrier()
    heads = mesh.get_group("node")  # ranks with this local rank; only those with local rank 0 are measured
    is_head = position.local_rank == 0
    between = _all_reduce(heads, device) if is_head else None
    links = _links(position, heads, nodes, device) if is_head else {}
    record = _Record(speed, inside, between, links)
    records: list[_Record | None] | None = [None] * position.world if position.rank == 0 else None
    dist.gather_object(record, records)
    if records is None:
        return None
    whole = [each for each in records if each is not None]
    ends = whole[:: position.local_world]
    hosts = [end.speed.host for end in ends]
    found = {pair: bandwidth for end in ends for pair, bandwidth in end.links.items()}
    return Preflight(
        seconds=time.perf_counter() - begin,
        computation=dtype,
        devices=[each.speed for each in whole],
        nodes=[NodeSpeed(host=end.speed.host, inside=end.inside) for end in ends],
        between_nodes=ends[0].between,
        links=[
            LinkSpeed(hosts=(hosts[one], hosts[other]), **bandwidth.model_dump())
            for (one, other), bandwidth in sorted(found.items())
        ],
    )


@dataclass(frozen=True)
class _Record:
    """Measurements of one rank; its links are those whose first node is its own."""

    speed: DeviceSpeed
    inside: Bandwidth | None
    between: Bandwidth | None
    links: dict[tuple[int, int], Bandwidth]


def rounds(nodes: int) -> list[list[tuple[int, int]]]:
    """Return the pairs of neighbours in a ring of nodes, in rounds in which every node occurs at most once."""
    pairs = [(node, (node + 1) % nodes) for node in range(nodes if nodes > 2 else nodes - 1)]
    odd = [pairs.pop()] if len(pairs) > 1 and len(pairs) % 2 else []
    return [each for each in (pairs[::2], pairs[1::2], odd) if each]


def _links(
    position: Position, heads: dist.ProcessGroup, nodes: int, device: torch.device
) -> dict[tuple[int, int], Bandwidth]:
    """Return the bandwidths of the pairs whose first node is this rank's."""
    found = {}
    for pairs in rounds(nodes):
        own = next((pair for pair in pairs if position.node in pair), None)
        times, size = timed(_there_and_back(own, position, heads), heads, device)
        if own is not None and own[0] == position.node:
            found[own] = Bandwidth(bytes_per_s=2 * size / median(times), message_bytes=size)
    return found


def _there_and_back(
    pair: tuple[int, int] | None, position: Position, heads: dist.ProcessGroup
) -> Callable[[torch.Tensor], None]:
    def exchange(message: torch.Tensor) -> None:
        if pair is None:  # nodes without a pair in this round wait
            return
        first, second = (node * position.local_world for node in pair)
        if position.rank == first:
            dist.send(message, second, heads)
            dist.recv(message, second, heads)
        else:
            dist.recv(message, first, heads)
            dist.send(message, first, heads)

    return exchange


def _all_reduce(group: dist.ProcessGroup, device: torch.device) -> Bandwidth | None:
    """Return the bus bandwidth among a group's ranks; None with one rank."""
    ranks = group.size()
    if ranks == 1:
        return None
    times, size = timed(lambda message: dist.all_reduce(message, group=group), group, device)
    moved = 2 * (ranks - 1) / ranks * size
    return Bandwidth(bytes_per_s=moved / median(_slowest(times, group, device)), message_bytes=size)


def timed(
    exchange: Callable[[torch.Tensor], object], group: dist.ProcessGroup, device: torch.device
) -> tuple[list[float], int]:
    """Return the seconds of some exchanges on this rank, and the message's bytes, which are the same in the group."""
    message = torch.zeros(LARGE // 4, device=device)
    small = message[: SMALL // 4]
    exchange(small)  # establishes the connections
    first = _seconds(exchange, small, group, device)
    if _slowest([first], group, device)[0] > QUICK:
        return [first], SMALL
    exchange(message)
    return [_seconds(exchange, message, group, device) for _ in range(TIMES)], LARGE


def _seconds(
    exchange: Callable[[torch.Tensor], object], message: torch.Tensor, group: dist.ProcessGroup, device: torch.device
) -> float:
    dist.barrier(group)
    begin = time.perf_counter()
    exchange(message)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - begin


def _slowest(seconds: list[float], group: dist.ProcessGroup, device: torch.device) -> list[float]:
    """Return each time on the group's slowest rank."""
    times = torch.tensor(seconds, dtype=torch.float64, device=device)
    dist.all_reduce(times, dist.ReduceOp.MAX, group)
    slowest: list[float] = times.tolist()
    return slowest
