"""Which processor cores a rank may use, the same whatever started it (Linux; no torch)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from bench.contract.run import System


def share(cores: Sequence[int], place: int, places: int) -> list[int]:
    """The cores of one rank of `places` on a node: consecutive ones, as many for each, so that no rank is faster than
    another; what is left over stays free. Where there are fewer cores than ranks, these take them in turn.
    """
    each = len(cores) // places
    return list(cores[place * each : (place + 1) * each]) if each else [cores[place % len(cores)]]


def compact(cores: Sequence[int]) -> str:
    """Cores in ascending order as a text: 0-3,8."""
    breaks = [0, *(index + 1 for index, (low, high) in enumerate(pairwise(cores)) if high != low + 1), len(cores)]
    runs = [cores[begin:end] for begin, end in pairwise(breaks) if end > begin]
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def own_cores() -> list[int]:
    """Those that this process may use, in ascending order."""
    return sorted(os.sched_getaffinity(0))


def bind(system: System, local_rank: int, local_world: int) -> None:
    """Keep this rank to its own cores, where the system asks for that; of those that its node's processes may use."""
    if system.affinity == "none":
        return
    own = share(own_cores(), local_rank, local_world)
    for thread in Path("/proc/self/task").iterdir():  # imports may have started some; later ones inherit it
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread.name), own)
