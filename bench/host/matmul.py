"""Sustained speed of a matrix product, measured on all ranks while all of them are busy."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from math import cbrt

import torch
import torch.distributed as dist

from bench.contract.base import DType
from bench.host.dtypes import DTYPES

SECONDS = 0.5
"""Duration that each rank measures: many time slices of a scheduler (about 4 ms in Linux), so that ranks that share a
core are charged for the time in which they do not run."""

GPU_SIZE = 8192


def measure_matmul(dtype: DType, device: torch.device) -> float:
    """Return this rank's FLOP/s in a square matrix product in `dtype`, with all ranks busy at once.

    Products done x 2 n^3 / seconds, over at least SECONDS. A rank begins to count once all ranks are multiplying, and
    goes on multiplying until all have counted, so that none is measured beside idle ones. Collective over the world.
    """
    size = GPU_SIZE if device.type == "cuda" else cpu_size(torch.get_num_threads())
    products = _products(size, dtype, device)
    next(products)  # loads kernels and allocates
    _until_all_are_here(products)
    begin = end = next(products)
    count = 0
    while end - begin < SECONDS:
        end = next(products)
        count += 1
    _until_all_are_here(products)
    return count * 2.0 * size**3 / (end - begin)


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


def _until_all_are_here(products: Iterator[float]) -> None:
    """Multiply until every rank has called this."""
    barrier = dist.barrier(async_op=True)
    if barrier is None:
        raise RuntimeError("this rank is not in the world's process group")
    while not barrier.is_completed():
        next(products)
    barrier.wait()
