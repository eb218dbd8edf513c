"""Bencher Metric Format, read by `bencher run --adapter json`: https://bencher.dev/docs/reference/bencher-metric-format/."""

from __future__ import annotations

import json
import math

from reports.render.base import Export, Report
from reports.render.trackers.series import Point, series, shortfalls


def export(report: Report) -> Export:
    """Return bencher.json: a benchmark for each cell, a measure for each metric."""
    benchmarks = {
        each.name: {point.metric.key.replace("_", "-"): _metric(point) for point in each.points}
        for each in series(report)
    }
    return Export(
        {"bencher.json": json.dumps(benchmarks, indent=2, allow_nan=False) + "\n"}, problems=shortfalls(report)
    )


def _metric(point: Point) -> dict[str, float]:
    """Return a value with the bounds of its 95 % interval, if it has a finite one."""
    estimate = point.estimate
    bounds = {"lower_value": estimate.low, "upper_value": estimate.high} if estimate.is_interval else {}
    return {"value": estimate.value} | {name: bound for name, bound in bounds.items() if math.isfinite(bound)}
