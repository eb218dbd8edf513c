"""The CSV files: the figures of all tables as raw numbers, and the frames."""

from __future__ import annotations

import csv
from io import StringIO

import pandas as pd

from reports.render.base import Export, Report
from reports.tables.tables import long_form


def export(report: Report) -> Export:
    """Return tables.csv, runs.csv and, where there are breakdown runs, breakdown.csv."""
    files: dict[str, str | bytes] = {
        "tables.csv": _content(long_form(report.tables)),
        "runs.csv": _content(report.sweep.frame),
    }
    if len(report.sweep.breakdown):
        files["breakdown.csv"] = _content(report.sweep.breakdown)
    return Export(files)


def _content(frame: pd.DataFrame) -> str:
    """Return what `to_csv` of pandas does, whose chunks of a few thousand rows take half as long again."""
    columns = (column.astype(object).where(column.notna(), "").tolist() for _, column in frame.items())
    content = StringIO()
    lines = csv.writer(content, lineterminator="\n")
    lines.writerow(frame.columns)
    lines.writerows(zip(*columns, strict=True))
    return content.getvalue()
