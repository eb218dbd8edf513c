"""The frames as Parquet, which keeps the types of their columns."""

from __future__ import annotations

from reports.render.base import Export, Report


def export(report: Report) -> Export:
    """Return runs.parquet and, where there are breakdown runs, breakdown.parquet."""
    frames = {"runs": report.sweep.frame, "breakdown": report.sweep.breakdown}
    return Export(
        {
            f"{name}.parquet": frame.to_parquet(None, index=False)
            for name, frame in frames.items()
            if name == "runs" or len(frame)
        }
    )
