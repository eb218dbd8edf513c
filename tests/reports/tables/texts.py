"""A sweep's table, and the texts of its cells."""

from __future__ import annotations

from reports.cells.comparability import Comparability
from reports.data.frame import load
from reports.tables.tables import Table, tables
from tests.support.documents import SweepDocuments


def all_tables(sweep: SweepDocuments) -> list[Table]:
    """The tables of a sweep, which is written first."""
    return tables(Comparability(load(sweep.write())))


def the_table(sweep: SweepDocuments) -> Table:
    """The one table of a sweep, which is written first."""
    (table,) = all_tables(sweep)
    return table


def texts(table: Table, key: str) -> dict[str, list[str]]:
    """Row label -> the texts of a figure's row."""
    (block,) = [block for block in table.blocks if block.metric.key == key]
    return {row.label: [cell.text for cell in cells] for row, cells in zip(table.grid.rows, block.cells, strict=True)}
