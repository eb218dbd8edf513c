"""What of a sweep a report shows. A selection leaves out cells and metrics; it changes no figure and no finding."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from bench.contract.base import AxisValue
from bench.contract.plan import Plan
from reports.cells.grid import CellRuns, Grid, Row
from reports.data.frame import LoadedSweep
from reports.tables.parts import Breakdown
from reports.tables.tables import Block, Table


@dataclass(frozen=True)
class Selection:
    """The cells and metrics that a report shows; all without arguments.

    Ratios stay relative to the sweep's reference, and verdicts adjusted for all comparisons, shown or not.
    """

    keeps: Callable[[Mapping[str, AxisValue]], bool] = lambda _: True
    """Returns True for the labels of cells to show."""
    metrics: Collection[str] | None = None
    """Keys of the metrics to show; None for all."""
    filters: Collection[str] = ()
    """What `keeps` selects, in words: `strategy=fsdp`."""

    @property
    def text(self) -> str:
        """What is selected: `strategy=fsdp, metric=ratio`; empty for all."""
        return ", ".join([*self.filters, *(f"metric={key}" for key in self.metrics or ())])

    def table(self, table: Table, plan: Plan) -> Table | None:
        """Return the table with the chosen cells and metrics; None if no cell is left."""
        kept = [self._row(row, table.grid, plan) for row in table.grid.rows]
        nodes = [count for count in table.grid.nodes if any(row is not None and count in row.cells for row in kept)]
        if not nodes:
            return None
        rows = [index for index, row in enumerate(kept) if row is not None]
        columns = [table.grid.nodes.index(count) for count in nodes]
        grid: Grid = replace(table.grid, nodes=nodes, rows=[row for row in kept if row is not None])
        return replace(
            table,
            grid=grid,
            layouts=[[table.layouts[row][column] for column in columns] for row in rows],
            blocks=[
                Block(block.metric, block.title, [[block.cells[row][column] for column in columns] for row in rows])
                for block in table.blocks
                if self.metrics is None or block.metric.key in self.metrics
            ],
            breakdown=_restricted(table.breakdown, table.grid.rows, kept, nodes),
        )

    def sweep(self, sweep: LoadedSweep) -> LoadedSweep:
        """Return the sweep with the chosen cells and their runs, also those that are shown for another combination."""
        cells = [cell for cell in sweep.plan.cells if self.keeps(cell.labels)]
        runs = {run for cell in cells for run in cell.all_runs}
        frames = (frame[frame["run"].isin(runs)] if len(frame) else frame for frame in (sweep.frame, sweep.breakdown))
        frame, breakdown = (frame.reset_index(drop=True) for frame in frames)
        return replace(sweep, plan=sweep.plan.model_copy(update={"cells": cells}), frame=frame, breakdown=breakdown)

    def _row(self, row: Row, grid: Grid, plan: Plan) -> Row | None:
        cells = {nodes: cell for nodes, cell in row.cells.items() if self._keeps(cell, row, grid, plan)}
        return (row if len(cells) == len(row.cells) else replace(row, cells=cells)) if cells else None

    def _keeps(self, cell: CellRuns, row: Row, grid: Grid, plan: Plan) -> bool:
        """Return True if the cell is kept with some value of the axes that its place in the table leaves open: those
        whose values were chosen, and communicators where their number makes no difference.
        """
        choice = grid.choice.axes if grid.choice else ()
        streams = [] if row.uses_streams else ["cuda_streams"]
        values = {axis: plan.axes[axis] for axis in (*choice, *streams) if axis in plan.axes}
        labels = cell.planned.labels
        return any(self.keeps(labels | dict(zip(values, chosen, strict=True))) for chosen in product(*values.values()))


def _restricted(
    made: Breakdown | None, before: Sequence[Row], kept: Sequence[Row | None], nodes: Collection[int]
) -> Breakdown | None:
    """Return the breakdown of the rows that are left; `kept` has each row of `before`, or None."""
    if made is None:
        return None
    pairs = [(old, new) for old, new in zip(before, kept, strict=True) if new is not None]
    cells = [replace(cell, row=new) for old, new in pairs for cell in made.cells if cell.row is old]
    return replace(made, cells=[cell for cell in cells if cell.nodes in nodes and cell.nodes in cell.row.cells])
