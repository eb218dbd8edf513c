"""Time of a federated averaging, divided into waiting for the last rank and the transfer after it arrived.

Compares the clocks of ranks, which `StepClock.align` sets to one zero: differences are exact to the time that a barrier
takes to release all ranks, and to the drift of the hosts' clocks since then.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bench.contract.layout import Layout

Floats = npt.NDArray[np.float64]


def waits_and_transfers(layout: Layout, arrivals: Floats, aggregations: Floats) -> tuple[Floats, Floats]:
    """Return the seconds that each rank waited and transferred in every step; shapes (ranks, steps), as the arguments.

    A rank waits from its own arrival until the last of the ranks that hold the same shard, with which it averages, has
    arrived; the rest of its averaging is transfer. Both are 0 in steps without an averaging, NaN if it was not timed.
    """
    of_shards = arrivals.reshape(-1, layout.shard, arrivals.shape[1])  # (holders, shards, steps)
    waits = (of_shards.max(axis=0) - of_shards).reshape(arrivals.shape)
    is_none = aggregations == 0
    return np.where(is_none, 0.0, waits), np.where(is_none, 0.0, aggregations - waits)


def median_over_averagings(seconds: Floats, averages: npt.NDArray[np.bool_]) -> float | None:
    """Return the median over the averagings of the longest time over ranks; None without one, or if not timed.

    Args:
        seconds: shape (ranks, steps).
        averages: whether a step has an averaging; shape (steps,).

    """
    longest = seconds[:, averages].max(axis=0)
    return float(np.median(longest)) if len(longest) and np.isfinite(longest).all() else None
