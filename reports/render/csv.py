"""The CSV files: the figures of all tables as raw numbers, and the frame."""

from __future__ import annotations

from reports.render.base import Export, Report
from reports.tables.tables import long_form


def export(report: Report) -> Export:
    """Return tables.csv and runs.csv."""
    return Export(
        {
            "tables.csv": long_form(report.tables).to_csv(index=False),
            "runs.csv": report.sweep.frame.to_csv(index=False),
        }
    )
