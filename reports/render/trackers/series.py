"""The figures of a report as named series, the same from night to night, for programs that track them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from reports.cells.grid import CellRuns
from reports.cells.metrics import Metric
from reports.data.words import counted, first_few
from reports.render.base import Report
from reports.stats.intervals import Estimate
from reports.tables.table_cell import TableCell
from reports.tables.tables import Table

_MOST_NAMED = 5
"""Cells that the sentence on what is missing names."""


@dataclass(frozen=True)
class Point:
    """One metric of a cell that has a figure."""

    metric: Metric
    title: str
    estimate: Estimate
    cell: TableCell


@dataclass(frozen=True)
class Series:
    """One cell of a table with all its figures."""

    name: str
    """`llama-tiny, batch size 4 / hsdp / 2 nodes`: the same in every sweep of these axes."""
    table: str
    """Title of its table."""
    runs: CellRuns
    points: list[Point]


def series(report: Report) -> Iterator[Series]:
    """Yield every cell of every table that has figures.

    Ratios of cells that are not comparable are left out, and what is not finite, which JSON cannot hold; so are tables
    of best configurations, which are others from night to night under the same name.
    """
    for table in _tracked(report):
        for place, row in enumerate(table.grid.rows):
            for column, nodes in enumerate(table.grid.nodes):
                points = [
                    Point(block.metric, block.title, cell.figure.estimate, cell)
                    for block in table.blocks
                    if (cell := block.cells[place][column]).figure is not None
                    and not cell.figure.differing
                    and math.isfinite(cell.figure.estimate.value)
                ]
                if points:
                    yield Series(table.grid.name(row, nodes), table.grid.title, row.cells[nodes], points)


def shortfalls(report: Report) -> list[str]:
    """Return a sentence on the cells whose series are missing or of fewer runs than planned, if there are any and no
    exporter has said so.
    """
    short = [
        f"{table.grid.name(row, nodes)} ({len(cell.completed)} of {counted(len(cell.planned.runs), 'run')} completed)"
        for table in _tracked(report)
        for row, nodes, cell in table.grid.places()
        if len(cell.completed) < len(cell.planned.runs)
    ]
    sentence = (
        f"trackers: {len(short)} series {'is' if len(short) == 1 else 'are'} of fewer runs than planned or missing: "
        f"{first_few(short, _MOST_NAMED)}"
    )
    return [sentence] if short and sentence not in report.problems else []


def _tracked(report: Report) -> list[Table]:
    return [table for table in report.tables if table.grid.choice is None]
