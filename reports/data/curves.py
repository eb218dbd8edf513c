"""The course of a run's losses over time and tokens, from its steps.parquet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.contract.results.measured import Validation
from reports.data.step_table import Floats, StepTable

ROUNDING = 1e-9
"""Relative difference of the same sum in another order; times and losses have about 16 digits."""


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
    return curve_of(StepTable.read(steps.read_bytes(), groups))


def curve_of(table: StepTable) -> Curve:
    """Return the curve of a run with these steps."""
    seconds, tokens, losses = (table.column(name) for name in ("seconds", "tokens", "loss"))
    of_step = tokens.sum(axis=1)
    return Curve(seconds.mean(axis=1).cumsum(), of_step.cumsum(), (losses * tokens).sum(axis=1) / of_step)


@dataclass(frozen=True)
class Arrival:
    """The moment at which a run reached a loss.

    Attributes:
        seconds: since the start of the first step, without validations.
        tokens: trained tokens of all ranks.
        at_once: True if it was the first moment at which there was a loss to compare.

    """

    seconds: float
    tokens: int
    at_once: bool


@dataclass(frozen=True)
class Descent:
    """The moments at which a loss was lower than ever before, each of shape (moments,): all that a target asks for.

    Attributes:
        losses: in nats/token, falling.
        seconds, tokens: as in `Curve`.

    """

    losses: Floats
    seconds: Floats
    tokens: Floats

    @classmethod
    def of(cls, losses: Floats, seconds: Floats, tokens: Floats) -> Descent:
        """Return the descent of a series of losses."""
        is_lowest = np.diff(np.minimum.accumulate(losses), prepend=np.inf) < 0
        return cls(losses[is_lowest], seconds[is_lowest], tokens[is_lowest])

    def arrival(self, loss: float) -> Arrival | None:
        """Return the first moment at which the loss was at most this one, None if it never was."""
        place = int((self.losses > loss + ROUNDING * abs(loss)).sum())
        if place == len(self.losses):
            return None
        return Arrival(float(self.seconds[place]), int(self.tokens[place]), place == 0)


@dataclass(frozen=True)
class Course:
    """How a run's losses fell.

    Attributes:
        training: mean over each block, which ends with its last step.
        validation: of the averaged model; None without validations during the training.

    """

    training: Descent
    validation: Descent | None


def course_of(curve: Curve, block: int, validations: list[Validation]) -> Course:
    """Return the course of a run of whole blocks of `block` steps."""
    tokens = np.diff(curve.tokens, prepend=0.0).reshape(-1, block)
    means = (curve.losses.reshape(-1, block) * tokens).sum(axis=1) / tokens.sum(axis=1)
    ends = slice(block - 1, None, block)
    training = Descent.of(means, curve.seconds[ends], curve.tokens[ends])
    if not validations:
        return Course(training, None)
    losses = np.array([each.loss for each in validations])
    moments = np.array([each.step for each in validations]) - 1
    return Course(training, Descent.of(losses, curve.seconds[moments], curve.tokens[moments]))
