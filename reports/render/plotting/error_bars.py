"""Points with error bars that hide neither each other nor their own ends."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.markers import CARETDOWNBASE, CARETUPBASE

from reports.stats.intervals import Estimate

FARTHEST = 2.0
"""Factor between a value and the end of its error bar beyond which the bar is cut: an interval of few repeats may span
decades, which are not worth the axis."""
_WIDEST, _STEP = 0.4, 0.09
"""Doublings of the nodes over which the points of one node count are spread at most, and between two of them."""


def dodged(nodes: Sequence[int], place: int, places: int) -> list[float]:
    """Return where the points of row `place` of `places` are drawn, so that those of one node count stand apart.

    The first row is leftmost, and the middle of all is the node count itself, on an axis of doublings.
    """
    gap = min((math.log2(later / earlier) for earlier, later in pairwise(sorted(set(nodes)))), default=1.0)
    step = min(_STEP, min(_WIDEST, gap / 2) / max(1, places - 1))
    return [count * 2 ** (step * (place - (places - 1) / 2)) for count in nodes]


def draw_points(
    axes: Axes, along: Sequence[float], estimates: Sequence[Estimate], line: Mapping[str, Any], unit: float = 1.0
) -> tuple[list[float], bool]:
    """Draw a row's values times `unit` with their bars, and return what the axis has to show and if some bar was cut.

    A bar that reaches farther than `FARTHEST` times its value ends there with an arrow head.
    """
    values = [estimate.value * unit for estimate in estimates]
    # Rounding may put a bound beyond its value.
    bounds = [(min(e.low, e.value) * unit, max(e.high, e.value) * unit) for e in estimates]
    ends = [
        (max(low, value / FARTHEST), min(high, value * FARTHEST))
        for value, (low, high) in zip(values, bounds, strict=True)
    ]
    bars = [
        [value - low for value, (low, _) in zip(values, ends, strict=True)],
        [high - value for value, (_, high) in zip(values, ends, strict=True)],
    ]
    axes.errorbar(along, values, yerr=bars, capsize=3, **line)
    is_cut = False
    for side, marker in enumerate((CARETDOWNBASE, CARETUPBASE)):
        cut = [(x, end[side]) for x, end, bound in zip(along, ends, bounds, strict=True) if end[side] != bound[side]]
        if cut:
            is_cut = True
            axes.plot(*zip(*cut, strict=True), linestyle="none", marker=marker, markersize=5, color=line["color"])
    return [*(low for low, _ in ends), *(high for _, high in ends)], is_cut
