"""The course of a run's training loss over time and tokens, from its steps.parquet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

Series = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """Values after each optimizer step, each of shape (steps,).

    Attributes:
        seconds: time since the start of the first step, mean over federated groups, which do not wait for each other.
        tokens: trained tokens of all ranks.
        losses: training loss in nats/token, mean over groups by their tokens.

    """

    seconds: Series
    tokens: Series
    losses: Series


def read_curve(steps: Path) -> Curve:
    """Return the curve of a run.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not a file of steps.

    """
    table = pq.ParquetFile(steps).read(["step", "group", "seconds", "tokens", "loss"], use_threads=False)
    numbers, place = np.unique(table["step"].to_numpy(), return_inverse=True)
    groups = len(np.unique(table["group"].to_numpy()))
    if len(place) != len(numbers) * groups:
        raise ValueError("not every group has every step once")

    def total(values: Series) -> Series:
        return np.bincount(place, weights=values, minlength=len(numbers)).astype(np.float64)

    seconds, tokens, losses = (table[name].to_numpy().astype(np.float64) for name in ("seconds", "tokens", "loss"))
    of_step = total(tokens)
    return Curve(np.cumsum(total(seconds) / groups), np.cumsum(of_step), total(losses * tokens) / of_step)


def first_block_at(curve: Curve, block: int, loss: float) -> int | None:
    """Return the last step of the first block whose mean loss is at most `loss`; None if no block's is.

    Blocks of `block` steps are counted from the end, so that the last one is that of a run's final loss.
    """
    steps = len(curve.losses)
    tokens = np.diff(curve.tokens, prepend=0.0)
    for end in range(steps % block + block, steps + 1, block):
        inside = slice(end - block, end)
        if np.average(curve.losses[inside], weights=tokens[inside]) <= loss:
            return end - 1
    return None
