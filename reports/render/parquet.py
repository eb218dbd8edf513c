"""The frame as Parquet, which keeps the types of its columns."""

from __future__ import annotations

from reports.render.base import Export, Report


def export(report: Report) -> Export:
    """Return runs.parquet."""
    return Export({"runs.parquet": report.sweep.frame.to_parquet(None, index=False)})
