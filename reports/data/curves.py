"""The course of a run's training loss over time and tokens, from its steps.parquet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.measure.window import mean_loss
from reports.data.step_table import Floats, StepTable


@dataclass(frozen=True)
class Curve:
    """Values after each optimizer step, each of shape (steps,).

    Attributes:
        seconds: time since the start of the first step, mean over federated groups, which do not wait for each other.
        tokens: trained tokens of all ranks.
        losses: training loss in nats/token, mean over groups by their tokens.

    """

    seconds: Floats
    tokens: Floats
    losses: Floats


def read_curve(steps: Path, groups: int) -> Curve:
    """Return the curve of a run with so many federated groups.

    Raises:
        OSError, ValueError, KeyError: the file cannot be read, or is not one of steps.

    """
    table = StepTable.read(steps.read_bytes(), groups)
    seconds, tokens, losses = (table.column(name) for name in ("seconds", "tokens", "loss"))
    of_step = tokens.sum(axis=1)
    return Curve(seconds.mean(axis=1).cumsum(), of_step.cumsum(), (losses * tokens).sum(axis=1) / of_step)


def first_block_at(curve: Curve, block: int, loss: float) -> int | None:
    """Return the last step of the first block whose mean loss is at most `loss`; None if no block's is.

    Blocks of `block` steps are counted from the end, so that the last one is that of a run's final loss.
    """
    steps = len(curve.losses)
    tokens = np.diff(curve.tokens, prepend=0.0)
    for end in range(steps % block + block, steps + 1, block):
        inside = slice(end - block, end)
        if mean_loss(curve.losses[inside], tokens[inside]) <= loss:
            return end - 1
    return None
