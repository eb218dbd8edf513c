"""JSON for github-action-benchmark: a list of name, unit, value, range and extra, a file for either direction."""

from __future__ import annotations

import json

from reports.cells.metrics import Direction
from reports.render.base import Export, Report
from reports.render.trackers.series import Point, series, shortfalls

FILES: dict[Direction, str] = {
    "higher": "github-action.customBiggerIsBetter.json",
    "lower": "github-action.customSmallerIsBetter.json",
}
"""Each is named after the `tool` that the action's step has to name."""


def export(report: Report) -> Export:
    """Return a file for each direction; metrics without a direction are left out, as the action has no such tool."""
    entries: dict[Direction, list[dict[str, object]]] = {direction: [] for direction in FILES}
    for each in series(report):
        for point in each.points:
            direction = point.metric.better
            if direction is not None:
                entries[direction].append(_entry(f"{each.name} / {point.metric.key}", point))
    files: dict[str, str | bytes] = {
        FILES[direction]: json.dumps(found, indent=2, allow_nan=False) + "\n" for direction, found in entries.items()
    }
    return Export(files, problems=shortfalls(report))


def _entry(name: str, point: Point) -> dict[str, object]:
    estimate = point.estimate
    entry: dict[str, object] = {"name": name, "unit": point.metric.unit, "value": estimate.value}
    if estimate.is_interval:
        entry["range"] = f"± {(estimate.high - estimate.low) / 2:.4g}"
    return entry | {"extra": point.cell.text}
