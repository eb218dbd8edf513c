"""Time, tokens and node-hours until a loss is reached: what decides between strategies that differ in speed and loss.

The target is `target_loss` of the matrix file, else the highest final loss of the reference's repeats on the same
nodes, so that all of these reach it, and so does what differs from that by rounding only. A run is there at the end of
the first block whose mean training loss is at most that, or at the first such validation if all runs on these nodes
were validated during the training.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from bench.contract.plan import Plan
from reports.cells.grid import CellRuns, Grid
from reports.cells.metrics import LEAST_LOSS
from reports.cells.table_reference import TableReference, reference_of
from reports.data.columns.base import Scalar, values
from reports.data.columns.target import TARGET, LossKind, Target
from reports.data.curves import Course, Descent
from reports.data.frame import LoadedSweep
from reports.data.words import counted

_FINAL: dict[LossKind, str] = {"training": "loss_final", "validation": "loss_validation"}
"""Columns of the final losses."""


def with_targets(grid: Grid, sweep: LoadedSweep) -> Grid:
    """Return the grid with the columns of `TARGET` in the records of runs whose steps are known."""
    reference = reference_of(grid, sweep.plan)
    found: dict[str, Target] = {}
    for nodes in grid.nodes:
        found |= _on(nodes, grid, reference, sweep)
    if not found:
        return grid
    rows = [
        replace(row, cells={nodes: _with_columns(cell, found) for nodes, cell in row.cells.items()})
        for row in grid.rows
    ]
    return replace(grid, rows=rows)


def _with_columns(cell: CellRuns, found: dict[str, Target]) -> CellRuns:
    records = [
        record | values(TARGET, target) if (target := found.get(str(record["run"]))) else record
        for record in cell.records
    ]
    return replace(cell, records=records)


def _on(nodes: int, grid: Grid, reference: TableReference, sweep: LoadedSweep) -> dict[str, Target]:
    """Return the targets of the runs on so many nodes, by run id; empty without a target, or if it tells nothing."""
    cells = [row.cells[nodes] for row in grid.rows if nodes in row.cells]
    runs = {str(record["run"]) for cell in cells for record in cell.completed}
    courses = {run: course for run in runs if (course := sweep.courses.get(run)) is not None}
    is_validated = bool(courses) and all(course.validation is not None for course in courses.values())
    kind: LossKind = "validation" if is_validated else "training"
    given = sweep.plan.target_loss
    loss = _final_of_reference(nodes, cells, reference, kind) if given is None else given
    if loss is None:
        return {}
    rounding = LEAST_LOSS if given is None else 0.0
    arrivals = {run: _descent(course, kind).arrival(loss + rounding) for run, course in courses.items()}
    if given is None and all(arrival and arrival.at_once for arrival in arrivals.values()):
        return {}
    return {run: Target(loss, kind, arrival, nodes) for run, arrival in arrivals.items()}


def _final_of_reference(
    nodes: int, cells: Iterable[CellRuns], reference: TableReference, kind: LossKind
) -> float | None:
    """Return the highest final loss of the reference's repeats; None without one, or without a row to compare."""
    base = reference.row.cells.get(nodes) if reference.row else None
    rivals = {tuple(cell.planned.runs) for cell in cells if cell.completed}
    if base is None or len(rivals) < 2:
        return None
    return max(base.figures(_FINAL[kind]).values(), default=None)


def _descent(course: Course, kind: LossKind) -> Descent:
    validation = course.validation if kind == "validation" else None
    return course.training if validation is None else validation


def target_columns(grids: Iterable[Grid]) -> dict[str, dict[str, Scalar]]:
    """Return the columns of `TARGET` by run id, each run's of the table that its own combination is in."""
    names = [column.name for column in TARGET]
    return {
        str(record["run"]): {name: record[name] for name in names}
        for grid in grids
        if grid.choice is None
        for cell in grid.cells
        if cell.planned.status == "run"
        for record in cell.completed
        if record.get(names[0]) is not None
    }


def targets_text(grid: Grid, reference: TableReference, plan: Plan) -> str:
    """Return the targets of a table for its caption, empty without any."""
    by_nodes = {nodes: target for nodes in grid.nodes for target in _shown(grid, nodes)}
    if not by_nodes:
        return ""
    if plan.target_loss is not None:
        kinds = " or ".join(dict.fromkeys(kind for _, kind in by_nodes.values()))
        return f"target: a {kinds} loss of {plan.target_loss:.4f} nats/token"
    shown = ", ".join(
        f"a {kind} loss of {loss:.4f} on {counted(nodes, 'node')}" for nodes, (loss, kind) in by_nodes.items()
    )
    return f"target, the highest final loss of the repeats of {reference.label}: {shown}"


def _shown(grid: Grid, nodes: int) -> Iterator[tuple[float, str]]:
    for row in grid.rows:
        for record in row.cells[nodes].completed if nodes in row.cells else []:
            if record.get("target_loss") is not None:
                yield record["target_loss"], record["target_kind"]
