"""The CSV files: the figures of all tables as raw numbers, and the frames."""

from __future__ import annotations

from reports.render.base import Export, Report
from reports.tables.tables import long_form


def export(report: Report) -> Export:
    """Return tables.csv, runs.csv and, where there are breakdown runs, breakdown.csv."""
    files: dict[str, str | bytes] = {
        "tables.csv": long_form(report.tables).to_csv(index=False),
        "runs.csv": report.sweep.frame.to_csv(index=False),
    }
    if len(report.sweep.breakdown):
        files["breakdown.csv"] = report.sweep.breakdown.to_csv(index=False)
    return Export(files)
