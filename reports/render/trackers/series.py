"""The figures of a report as named series, the same from night to night, for programs that track them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from reports.cells.grid import CellRuns
from reports.cells.metrics import Metric
from reports.data.words import counted
from reports.render.base import Report
from reports.stats.intervals import Estimate
from reports.tables.tables import TableCell


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

    Ratios of cells that are not comparable are left out, and what is not finite, which JSON cannot hold.
    """
    for table in report.tables:
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
                    name = f"{table.grid.title} / {row.label} / {counted(nodes, 'node')}"
                    yield Series(name, table.grid.title, row.cells[nodes], points)


def first_start(report: Report) -> str | None:
    """Return when the sweep's first run started, ISO 8601, UTC; None if none did."""
    return min((result.started for result in report.sweep.results.values()), default=None)
