"""Means over repeats, each with its uncertainty. The unit is the run, or the mean of an allocation's runs.

From 3 repeats on, a 95 % interval of Student's t; with 2, the range; with 1, the bare number. With so few
repeats a percentile bootstrap, unlike the t-interval, covers far less than its nominal level.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from scipy import special

CONFIDENCE = 0.95
FEWEST_FOR_INTERVAL = 3


class Estimate(NamedTuple):
    """A value over `size` repeats; `low` and `high` bound an interval (`is_interval`), else they are the range.

    A tuple, because a report makes millions and a frozen dataclass takes three times as long.
    """

    value: float
    low: float
    high: float
    size: int

    @property
    def is_interval(self) -> bool:
        """Whether low and high bound a confidence interval rather than the observed values."""
        return self.size >= FEWEST_FOR_INTERVAL

    def exp(self) -> Estimate:
        """Return the estimate of which this one is the logarithm."""
        return Estimate(math.exp(self.value), math.exp(self.low), math.exp(self.high), self.size)


class Average(Protocol):
    """A mean with its interval: `mean`, or `geometric_mean` for rates."""

    def __call__(self, values: Sequence[float]) -> Estimate | None:
        """Return the mean and its t-interval; None without values."""


def half_width(error: float, freedom: float) -> float:
    """Return half of the t-interval of a value with this standard error."""
    return float(special.stdtrit(freedom, 0.5 + CONFIDENCE / 2)) * error


def plain_mean(values: Sequence[float]) -> float:
    """Return the arithmetic mean; NumPy would take ten times as long for a few repeats, and reports have millions."""
    return sum(values) / len(values)


def deviation(values: Sequence[float]) -> float:
    """Return the standard deviation of two values or more, by n - 1."""
    centre = plain_mean(values)
    return math.sqrt(sum((value - centre) ** 2 for value in values) / (len(values) - 1))


def mean(values: Sequence[float]) -> Estimate | None:
    """Return the mean and its t-interval; None without values."""
    count = len(values)
    if count == 0:
        return None
    centre = plain_mean(values)
    if count < FEWEST_FOR_INTERVAL:
        return Estimate(centre, min(values), max(values), count)
    half = half_width(deviation(values) / math.sqrt(count), count - 1)
    return Estimate(centre, centre - half, centre + half, count)


def geometric_mean(values: Sequence[float]) -> Estimate | None:
    """Return the geometric mean of positive values, with exp of the t-interval of the logarithms' mean.

    For rates: noise multiplies them, so they are skewed and never negative. An arithmetic interval of 900, 1,000 and
    9,000 tokens/s would begin below 0.
    """
    of_logs = mean([math.log(value) for value in values])
    return None if of_logs is None else of_logs.exp()


def over_allocations(average: Average, allocations: Sequence[Sequence[float]]) -> tuple[Estimate | None, bool]:
    """Return the mean of the runs or of the allocations' means, and whether these are its units.

    Runs of one allocation share its nodes, so they say little about how another one would have been: the units are the
    allocations' means if some have several runs. A single allocation has no interval, only its runs' range.
    """
    every = [value for values in allocations for value in values]
    if max(map(len, allocations), default=0) < 2:
        return average(every), False
    found = average([each.value for values in allocations if (each := average(values)) is not None])
    if found is not None and len(allocations) == 1:
        found = found._replace(low=min(every), high=max(every))
    return found, True
