"""CPU affinity of a rank, independent of the launcher. Linux; no torch."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from bench.contract.run import System


def share(cores: Sequence[int], place: int, places: int) -> list[int]:
    """Return the cores of rank `place` among `places` ranks of a node.

    Each rank gets the same number of consecutive cores, so that none is faster; a remainder stays unused. With fewer
    cores than ranks, one core each, shared round-robin.
    """
    each = len(cores) // places
    return list(cores[place * each : (place + 1) * each]) if each else [cores[place % len(cores)]]


def compact(cores: Sequence[int]) -> str:
    """Format ascending core numbers as ranges: 0-3,8."""
    breaks = [0, *(index + 1 for index, (low, high) in enumerate(pairwise(cores)) if high != low + 1), len(cores)]
    runs = [cores[begin:end] for begin, end in pairwise(breaks) if end > begin]
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def own_cores() -> list[int]:
    """Return the cores that this process may use, in ascending order."""
    return sorted(os.sched_getaffinity(0))


def bind(system: System, local_rank: int, local_world: int) -> None:
    """With `affinity: cores`, pin this rank to its share of the allowed cores."""
    if system.affinity == "none":
        return
    own = share(own_cores(), local_rank, local_world)
    for thread in Path("/proc/self/task").iterdir():  # imports may have started threads; later ones inherit
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread.name), own)
