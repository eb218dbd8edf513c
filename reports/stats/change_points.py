"""Points at which a series changed its level: E-divisive means with a t-test, as Hunter and Apache Otava find them.

A split is proposed by the energy statistic of D. S. Matteson and N. A. James, "A Nonparametric Approach for Multiple
Change Point Analysis of Multivariate Data", Journal of the American Statistical Association 109, 2014, with alpha = 1,
hierarchically. Its significance is that of Student's t-test on the two sides in place of their permutation test, with a
weak threshold while splitting, after which the weakest points are merged away until all that are left hold: M. Fleming
et al., "Hunter: Using Change Point Detection to Hunt for Performance Regressions", ICPE 2023 (doi 10.1145/
3578244.3583719). Both sides of a split have at least two values here, so that one odd night is no change; and each
stretch is searched for itself, so that no window is needed for a large change not to hide a small one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

FEWEST = 2
"""Values on each side of a change."""
WEAK = 10.0
"""Factor of the threshold while splitting."""

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """A change of the level.

    Attributes:
        index: of the first value after it.
        before, after: means of the stretches on both sides, up to the next changes.
        p_value: two-sided, of both stretches having one mean; the split was searched for, so it is too small.

    """

    index: int
    before: float
    after: float
    p_value: float


def change_points(values: Sequence[float], largest_p: float, smallest_change: float = 0.0) -> list[ChangePoint]:
    """Return the changes of a series, in its order.

    Args:
        values: for rates their logarithms, so that a change is relative and noise does not depend on the level.
        largest_p: p-value below which a change is significant.
        smallest_change: difference of means below which a change does not matter.

    """
    series = np.asarray(values, dtype=float)
    splits = sorted(_splits(series, 0, len(series), min(1.0, WEAK * largest_p)))
    while splits:
        found = [_change(series, *place) for place in _neighbours(splits, len(series))]
        weakest = max(found, key=lambda each: each.p_value)
        if weakest.p_value < largest_p:
            weakest = min(found, key=lambda each: abs(each.after - each.before))
            if abs(weakest.after - weakest.before) >= smallest_change:
                return found
        splits.remove(weakest.index)
    return []


def _neighbours(splits: list[int], end: int) -> list[tuple[int, int, int]]:
    """Return for each split where its left side begins, itself, and where its right side ends."""
    edges = [0, *splits, end]
    return list(zip(edges, edges[1:], edges[2:], strict=False))


def _splits(series: Values, start: int, end: int, largest_p: float) -> list[int]:
    """Return where a stretch changes, and where the stretches on both sides do."""
    if end - start < 2 * FEWEST:
        return []
    split = start + _best_split(series[start:end])
    if _change(series, start, split, end).p_value >= largest_p:
        return []
    return [split, *_splits(series, start, split, largest_p), *_splits(series, split, end, largest_p)]


def _best_split(values: Values) -> int:
    """Return the index that divides the values best: that of the largest energy statistic of values[:i] and
    values[i:k] over all i and k.

    Sums of distances are read off their two-dimensional cumulative sum.
    """
    count = len(values)
    total = np.zeros((count + 1, count + 1))
    total[1:, 1:] = np.abs(values[:, None] - values[None, :]).cumsum(axis=0).cumsum(axis=1)
    diagonal = np.diagonal(total)
    at, until = (axis.ravel() for axis in np.meshgrid(np.arange(count + 1), np.arange(count + 1), indexing="ij"))
    allowed = (at >= FEWEST) & (until - at >= FEWEST)
    at, until = at[allowed], until[allowed]
    left, right = at.astype(float), (until - at).astype(float)
    between = total[at, until] - diagonal[at]
    within_left = diagonal[at] / 2
    within_right = diagonal[until] / 2 - total[at, until] + diagonal[at] / 2
    energy = 2 / (left * right) * between
    energy -= within_left / (left * (left - 1) / 2) + within_right / (right * (right - 1) / 2)
    return int(at[np.argmax(left * right / (left + right) * energy)])


def _change(series: Values, start: int, split: int, end: int) -> ChangePoint:
    """Return the change at a split of a stretch, with the p-value of Student's t-test (equal variances)."""
    left, right = series[start:split], series[split:end]
    freedom = len(left) + len(right) - 2
    squares = float(((left - left.mean()) ** 2).sum() + ((right - right.mean()) ** 2).sum())
    error = math.sqrt(squares / freedom * (1 / len(left) + 1 / len(right)))
    before, after = float(left.mean()), float(right.mean())
    distance = abs(after - before)
    # Equal values, such as counted bytes, have no noise: rounding in their mean is not a change.
    noiseless = error <= 1e-12 * max(abs(before), abs(after), 1.0)
    if noiseless:
        return ChangePoint(split, before, after, 0.0 if distance > 1e-9 * max(abs(before), abs(after), 1.0) else 1.0)
    return ChangePoint(split, before, after, float(2 * special.stdtr(freedom, -distance / error)))
