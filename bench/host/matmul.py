"""Sustained speed of a matrix product, measured on all ranks while all of them are busy."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import cbrt

import torch
import torch.distributed as dist

from bench.contract.base import DType
from bench.host.dtypes import DTYPES
from bench.host.software import provenance

SECONDS = 0.5
"""Duration of the measurement: many time slices of a scheduler (about 4 ms in Linux), so that ranks which share a core
are charged for the time in which they do not run."""

LEAD = 0.1
"""Seconds of multiplying before it, in which all ranks get going and GPUs raise their clocks."""

GPU_SIZE = 8192


def measure_matmul(dtype: DType, device: torch.device) -> float:
    """Return this rank's FLOP/s in a square matrix product in `dtype`, with all ranks busy at once.

    Products done x 2 n^3 / seconds. The ranks of a machine count in the same time by its clock: in a time of its own,
    which begins when the rank happens to run, a rank would leave out that it waits for its core, or count while others
    are idle. A rank that finished no product in that time counts its first one. Collective over the world.
    """
    size = GPU_SIZE if device.type == "cuda" else cpu_size(torch.get_num_threads())
    products = _products(size, dtype, device)
    next(products)  # loads kernels and allocates
    begin = _moment_of_all() + LEAD
    finished = [time.perf_counter(), next(products)]
    while finished[-1] < begin + SECONDS:
        finished.append(next(products))
    end = max(begin + SECONDS, finished[1])
    return done_within(finished, begin, end) * 2.0 * size**3 / (end - begin)


def _moment_of_all() -> float:
    """Return a moment at which all ranks have come here, the same one for all ranks of a machine.

    By `time.perf_counter`, which on Linux is CLOCK_MONOTONIC: one clock for all processes of a machine. Each machine
    has its own, so ranks tell their times only once all have come, and none counts while it waits for another machine.
    """
    dist.barrier()
    own = (provenance.machine(), time.perf_counter())
    arrivals = [own] * dist.get_world_size()
    dist.all_gather_object(arrivals, own)
    return max(moment for machine, moment in arrivals if machine == own[0])


def done_within(finished: Sequence[float], begin: float, end: float) -> float:
    """Return the products done between two moments; one that is under way counts by its share of time.

    `finished` has the start of the first product and the end of each, in seconds.
    """
    return sum(
        max(0.0, min(after, end) - max(before, begin)) / (after - before) for before, after in pairwise(finished)
    )


def cpu_size(threads: int) -> int:
    """Return n for a CPU: 384 for one thread, more for more threads so that each has as much to do, at most 1024."""
    return min(1024, round(3 * cbrt(threads)) * 128)


def _products(size: int, dtype: DType, device: torch.device) -> Iterator[float]:
    """Multiply without end; yield the time at which each product is finished.

    On a GPU the next product is queued before the host waits for one, so the device has no gaps between them.
    """
    left, right = (torch.randn(size, size, device=device).to(DTYPES[dtype]) for _ in range(2))
    product = torch.empty_like(left)
    queued: deque[torch.cuda.Event] = deque()
    while True:
        torch.matmul(left, right, out=product)
        if device.type == "cuda":
            queued.append(torch.cuda.Event())
            queued[-1].record()
            if len(queued) == 1:
                continue
            queued.popleft().synchronize()
        yield time.perf_counter()
