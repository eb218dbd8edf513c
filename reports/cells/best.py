"""Rows each at its best: the fastest configuration of the axes that a user would tune, on every node count.

The fastest of several equal configurations owes its place to noise, so its own figures are too high. Configurations are
therefore chosen on the even repeats and measured on the odd ones.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace

from bench.contract.base import AxisValue
from bench.contract.plan import Plan
from reports.cells.grid import CellRuns, Choice, Grid, Row, axis_text, slug_of, title_of
from reports.stats.intervals import geometric_mean

FEWEST_TO_SPLIT = 4
"""Repeats below which all of them choose and measure."""
_SPEED = "tokens_per_s"


def choice_of(axes: Sequence[str], repeats: int) -> Choice:
    """Return which repeats choose and which are measured."""
    every = range(repeats)
    if repeats < FEWEST_TO_SPLIT:
        return Choice(tuple(axes), tuple(every), tuple(every))
    return Choice(tuple(axes), tuple(every[::2]), tuple(every[1::2]))


def best_grids(made: Sequence[Grid], plan: Plan) -> list[Grid]:
    """Return a grid for each combination of values of the axes that are neither compared nor tuned."""
    groups: dict[tuple[tuple[str, AxisValue], ...], list[Grid]] = {}
    for grid in made if plan.best_of else ():
        outside = tuple((axis, label) for axis, label in grid.labels.items() if axis not in plan.best_of)
        groups.setdefault(outside, []).append(grid)
    return [_best(dict(outside), group, plan) for outside, group in groups.items()]


def _best(labels: dict[str, AxisValue], group: Sequence[Grid], plan: Plan) -> Grid:
    choice = choice_of(plan.best_of, plan.repeats)
    variants: dict[Hashable, list[Row]] = {}
    for row in (row for grid in group for row in grid.rows):
        streams = row.cuda_streams if row.uses_streams and "cuda_streams" not in plan.best_of else None
        variants.setdefault((*row.labels.values(), streams), []).append(row)
    nodes = sorted({count for grid in group for count in grid.nodes})
    title = f"{title_of(labels, plan)}, each at its best"
    return replace(
        group[0],
        labels=labels,
        title=title,
        slug=slug_of(title),
        nodes=nodes,
        rows=[_at_its_best(rows, nodes, choice) for rows in variants.values()],
        choice=choice,
    )


def _at_its_best(variants: Sequence[Row], nodes: Sequence[int], choice: Choice) -> Row:
    """Return a row with the best of its variants, each of another configuration, on every node count."""
    first = variants[0]
    chosen = {
        count: chosen_of(cells, choice)
        for count in nodes
        if (cells := [row.cells[count] for row in variants if count in row.cells])
    }
    if "cuda_streams" not in choice.axes:
        return replace(first, cells=chosen)
    label = ", ".join(axis_text(axis, value) for axis, value in first.labels.items())
    return replace(first, label=label, uses_streams=False, cells=chosen)


def chosen_of(cells: Sequence[CellRuns], choice: Choice) -> CellRuns:
    """Return the fastest of several cells on the repeats that choose, with the runs that are measured.

    A configuration of which a run failed is chosen only if that is so of all.
    """
    whole = [cell for cell in cells if cell.records and len(cell.completed) == len(cell.records)]
    candidates = whole or [cell for cell in cells if cell.completed] or [cell for cell in cells if cell.records]
    best = max(candidates or cells, key=lambda cell: (_speed(cell, choice), cell.planned.status == "run"))
    return replace(best, records=[record for record in best.records if record["repeat"] in choice.measured])


def _speed(cell: CellRuns, choice: Choice) -> float:
    figures = cell.figures(_SPEED)
    found = geometric_mean([figures[repeat] for repeat in choice.choosing if repeat in figures])
    return 0.0 if found is None else found.value
