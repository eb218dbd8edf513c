"""The texts of a table's cells."""

from __future__ import annotations

from reports.tables.tables import Table


def texts(table: Table, key: str) -> dict[str, list[str]]:
    """Row label -> the texts of a figure's row."""
    (block,) = [block for block in table.blocks if block.metric.key == key]
    return {row.label: [cell.text for cell in cells] for row, cells in zip(table.grid.rows, block.cells, strict=True)}
