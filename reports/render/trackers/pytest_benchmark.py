"""JSON of pytest-benchmark, for `pytest-benchmark compare`.

A round is a completed repeat, and its time that of one token: pytest-benchmark knows times only, and the time of a step
would change with the batch. The column OPS is then tokens/s.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from typing import Any

from bench.contract.results.measured import Provenance
from reports.render.base import Export, Report
from reports.render.trackers.series import Series, series, shortfalls

FORMAT = "5.0.0"
"""Version of pytest-benchmark whose files these are like."""


def export(report: Report) -> Export:
    """Return pytest-benchmark.json: a benchmark for each cell with a completed run, grouped by table."""
    origins = [result.measured.provenance for result in report.sweep.results.values() if result.measured]
    document = {
        "machine_info": _machine(origins[0]) if origins else {},
        "commit_info": _commit(origins[0]) if origins else {},
        "benchmarks": [made for each in series(report) if (made := _benchmark(each, report)) is not None],
        "datetime": report.sweep.began or None,
        "version": FORMAT,
    }
    return Export(
        {"pytest-benchmark.json": json.dumps(document, indent=2, allow_nan=False) + "\n"}, problems=shortfalls(report)
    )


def _machine(origin: Provenance) -> dict[str, Any]:
    return {
        "node": ", ".join(dict.fromkeys(origin.hosts)),
        "python_version": origin.python,
        "cpu": {"brand_raw": origin.cpu_model or "unknown", "count": origin.cores},
        "devices": list(origin.devices),
    }


def _commit(origin: Provenance) -> dict[str, Any]:
    return {"id": origin.commit, "dirty": origin.dirty}


def _benchmark(each: Series, report: Report) -> dict[str, Any] | None:
    speeds = [speed for speed in each.runs.figures("tokens_per_s").values() if speed > 0]
    if not speeds:
        return None
    return {
        "group": each.table,
        "name": each.name,
        "fullname": f"{report.sweep.plan.sweep}::{each.name}",
        "params": {name: str(label) for name, label in each.runs.planned.labels.items()},
        "param": None,
        "extra_info": {point.metric.key: point.estimate.value for point in each.points},
        "options": {"disable_gc": False, "timer": "window", "min_rounds": len(speeds), "warmup": True},
        "stats": _statistics([1 / speed for speed in speeds]),
    }


def _statistics(data: Sequence[float]) -> dict[str, Any]:
    """Return what pytest-benchmark computes from the times of rounds (s), its quartiles being those of `inclusive`."""
    mean, deviation = statistics.mean(data), statistics.stdev(data) if len(data) > 1 else 0.0
    q1, median, q3 = statistics.quantiles(data, n=4, method="inclusive") if len(data) > 1 else [data[0]] * 3
    spread = q3 - q1
    near = sorted(each for each in data if q1 - 1.5 * spread <= each <= q3 + 1.5 * spread)
    far = sum(abs(each - mean) > deviation for each in data)
    return {
        "min": min(data),
        "max": max(data),
        "mean": mean,
        "stddev": deviation,
        "rounds": len(data),
        "median": median,
        "iqr": spread,
        "q1": q1,
        "q3": q3,
        "iqr_outliers": len(data) - len(near),
        "stddev_outliers": far,
        "outliers": f"{far};{len(data) - len(near)}",
        "ld15iqr": near[0],
        "hd15iqr": near[-1],
        "ops": 1 / mean,
        "total": sum(data),
        "iterations": 1,
        "data": list(data),
    }
