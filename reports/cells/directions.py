"""Which way a metric is better, for programs that have to know."""

from __future__ import annotations

from typing import Literal

from reports.cells.metrics import Metric
from reports.data.columns.units import unit

Direction = Literal["higher", "lower"]

_HIGHER = {
    "tokens_per_s",
    "tokens_per_s_per_device",
    "speed_up",
    "efficiency",
    "efficiency_own",
    "ratio",
    "largest_batch_size",
    "mfu",
    "mfu_causal",
    "hfu",
    "matmul_fraction",
}
_NEITHER = {"trained_tokens"}


def better(metric: Metric) -> Direction | None:
    """Return the better direction of a metric; None if it has none. Times, memory, energy and losses are costs."""
    if metric.key in _NEITHER:
        return None
    return "higher" if metric.key in _HIGHER else "lower"


def unit_of(metric: Metric) -> str:
    """Return the unit of a metric's raw values, "1" for a ratio or a count."""
    return "1" if metric.against is not None and metric.compared == "ratio" else unit(metric.key)
