"""The smallest difference that planned repeats can show, without scipy, which would double the time of `plan`.

The same figure as `reports.stats.verdicts.smallest_ratio` with a single comparison; a test compares them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

ALPHA, POWER = 0.05, 0.8
FEWEST = 3
"""Pairs that an interval needs."""

INTERVALS = 200
"""Intervals of Simpson's rule (even). The difference that a ratio stands for is then exact to five digits."""


def smallest_ratio(noise: float, pairs: int) -> float:
    """Return the smallest ratio above 1 that `pairs` pairs show with a power of 0.8, in a 95 % t-interval.

    Args:
        noise: standard deviation of a run's logarithm, the part that its pair does not share.
        pairs: at least `FEWEST`.

    """
    return math.exp(_shift(pairs) * noise * math.sqrt(2 / pairs))


@lru_cache
def _shift(pairs: int) -> float:
    """Return the difference at which the test has its power, in standard errors of the mean of `pairs` differences."""
    beyond = _noncentral_t(pairs - 1)
    critical = _root(lambda value: ALPHA / 2 - beyond(value, 0.0))
    return _root(lambda value: beyond(critical, value) - POWER)


def _noncentral_t(freedom: int) -> Callable[[float, float], float]:
    """Return the function P(T > t) of (t, shift) for the noncentral t distribution.

    T = (Z + shift) / U with Z standard normal and U^2 chi-square over its degrees of freedom, so P(T > t) is the mean
    of Phi(shift - t U) over U, by Simpson's rule.
    """
    step = (1 + 8.5 / math.sqrt(freedom)) / INTERVALS  # the density beyond is below 1e-15
    scale = math.log(2) + freedom / 2 * math.log(freedom / 2) - math.lgamma(freedom / 2)
    places: list[tuple[float, float]] = []
    for index in range(1, INTERVALS):  # at both ends the density is 0
        u = index * step
        log_density = scale - freedom * u * u / 2 + (freedom - 1) * math.log(u)
        weight = (4 if index % 2 else 2) * step / 3
        places.append((u, weight * math.exp(log_density) / 2))
    root_two = math.sqrt(2)

    def beyond(t: float, shift: float) -> float:
        return sum(weight * math.erfc((t * u - shift) / root_two) for u, weight in places)

    return beyond


def _root(rising: Callable[[float], float]) -> float:
    """Return the positive root of a rising function, by bisection."""
    low, high = 0.0, 1.0
    while rising(high) < 0:
        low, high = high, 2 * high
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return high
