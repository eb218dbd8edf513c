"""Verdicts on several comparisons at once, and the smallest difference that a comparison could have shown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum

from scipy import special

ALPHA = 0.05
POWER = 0.8


class Verdict(StrEnum):
    """What may be said of a ratio, given all the comparisons of its table."""

    HIGHER = "higher"
    LOWER = "lower"
    NO_DIFFERENCE = "no difference seen"
    CANNOT_TELL = "cannot tell"


def verdicts(compared: Sequence[tuple[float, float | None]], alpha: float = ALPHA) -> list[Verdict]:
    """Return a verdict for each (difference, p-value), such that the chance of any false one is at most `alpha`.

    The p-values are adjusted by Holm's step-down procedure (S. Holm, "A simple sequentially rejective multiple test
    procedure", Scandinavian Journal of Statistics 6, 1979), which needs no independence. A comparison without a p-value
    cannot tell, and does not count among the others.

    Args:
        compared: for each comparison its difference, positive for higher (for ratios the logarithm), and its p-value.
        alpha: family-wise error rate.

    """
    adjusted = holm([p for _, p in compared if p is not None])
    remaining = iter(adjusted)
    made = []
    for value, p in compared:
        if p is None:
            made.append(Verdict.CANNOT_TELL)
        elif next(remaining) >= alpha:
            made.append(Verdict.NO_DIFFERENCE)
        else:
            made.append(Verdict.HIGHER if value > 0 else Verdict.LOWER)
    return made


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p-values, in the order given."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, (len(p_values) - rank) * p_values[index])
        adjusted[index] = min(1.0, largest)
    return adjusted


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Return adjusted p-values that bound the false discovery rate, in the order given.

    Of what is below a level, at most that share is false on average; if nothing differs at all, the chance that
    anything is below it is at most the level (Y. Benjamini and Y. Hochberg, "Controlling the False Discovery Rate: A
    Practical and Powerful Approach to Multiple Testing", Journal of the Royal Statistical Society B 57, 1995). It holds
    for independent comparisons and for positively dependent ones (Y. Benjamini and D. Yekutieli, Annals of Statistics
    29, 2001).
    """
    count = len(p_values)
    order = sorted(range(count), key=lambda index: p_values[index], reverse=True)
    adjusted, smallest = [0.0] * count, 1.0
    for place, index in enumerate(order):
        smallest = min(smallest, p_values[index] * count / (count - place))
        adjusted[index] = smallest
    return adjusted


def smallest_ratio(deviation: float, pairs: int, power: float = POWER, alpha: float = ALPHA) -> float:
    """Return the smallest ratio above 1 that `pairs` pairs would have shown with the given power.

    A two-sided paired t-test on logarithms: the difference at which the noncentral t reaches `power`.

    Args:
        deviation: standard deviation of the paired log-ratios (for independent noise of 2 % a run: 0.02 * sqrt(2)).
        pairs: at least 2.
        power: probability of an interval without 1, if the ratio is the one returned.
        alpha: 1 - confidence of the interval.

    """
    freedom = pairs - 1
    critical = special.stdtrit(freedom, 1 - alpha / 2)
    # The other tail adds nothing at this power. scipy.stats has the same figure, and takes 0.6 s to be imported.
    shift = float(special.nctdtrinc(freedom, 1 - power, critical))
    return math.exp(shift * deviation / math.sqrt(pairs))
