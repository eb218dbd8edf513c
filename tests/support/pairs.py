"""Two things measured in turns: their ratio, as the benchmarks print it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from reports.stats.intervals import geometric_mean


def paired_ratio(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    """The ratio of figures that were measured in pairs, with its interval, and the median of the pairs."""
    ratios = [own / other for own, other in zip(ours, theirs, strict=True)]
    estimate = geometric_mean(ratios)
    assert estimate is not None
    found = {"ratio": estimate.value, "low": estimate.low, "high": estimate.high, "median": statistics.median(ratios)}
    return {name: round(value, 4) for name, value in found.items()}
