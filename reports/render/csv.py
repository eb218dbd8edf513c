"""The CSV files: the figures of all tables as raw numbers, and the frames."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO
from itertools import islice

import pandas as pd

from reports.data.frame import rows_of
from reports.render.base import Export, Report
from reports.tables.long_form import long_rows

_AT_ONCE = 10_000
"""Rows whose text is in memory: all of a large sweep's would take as much as the rest of its report."""


def export(report: Report) -> Export:
    """Return tables.csv, runs.csv and, where there are breakdown runs, breakdown.csv."""
    files = {
        "tables.csv": _text(long_rows(report.tables)),
        "runs.csv": _text(_rows(report.sweep.frame)),
    }
    if len(report.sweep.breakdown):
        files["breakdown.csv"] = _text(_rows(report.sweep.breakdown))
    return Export(files)


def _rows(frame: pd.DataFrame) -> Iterator[Sequence[object]]:
    """Yield the names of the columns, then the rows; `to_csv` of pandas takes half as long again."""
    yield list(frame.columns)
    for begin in range(0, len(frame), _AT_ONCE):
        yield from rows_of(frame.iloc[begin : begin + _AT_ONCE])


def _text(rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Yield the lines of a file, many at once; None becomes an empty field."""
    of_file = iter(rows)
    while several := list(islice(of_file, _AT_ONCE)):
        content = StringIO()
        csv.writer(content, lineterminator="\n").writerows(several)
        yield content.getvalue()
