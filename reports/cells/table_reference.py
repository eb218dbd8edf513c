"""The cell that ratios of a table are relative to."""

from __future__ import annotations

from dataclasses import dataclass

from bench.contract.plan import Plan
from reports.cells.grid import CellRuns, Grid, Row, axis_text
from reports.data.words import counted


@dataclass(frozen=True)
class TableReference:
    """The cell that speed-up and efficiency of a table are relative to: the same for all rows."""

    label: str
    """Of its row."""
    nodes: int
    row: Row | None
    """None where the reference is not in the table."""

    @property
    def cell(self) -> CellRuns | None:
        """The reference's runs, if the table has them."""
        return self.row.cells.get(self.nodes) if self.row else None

    @property
    def completed(self) -> bool:
        """Whether some run of the reference completed."""
        return self.cell is not None and bool(self.cell.completed)

    def __str__(self) -> str:
        return f"{self.label} on {counted(self.nodes, 'node')}"


def reference_of(grid: Grid, plan: Plan) -> TableReference:
    """Return the plan's reference, within this table's model and values of the axes that are not compared."""
    nodes = int(plan.reference["nodes"])
    for row in grid.rows:
        labels = row.labels | ({"cuda_streams": row.cuda_streams} if row.uses_streams else {})
        if all(plan.reference.get(axis, value) == value for axis, value in labels.items()):
            return TableReference(row.label, nodes, row)
    return TableReference(", ".join(axis_text(axis, label) for axis, label in plan.reference_row.items()), nodes, None)
