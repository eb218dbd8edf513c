"""The data of a table's interactive plots, row by row in the order of the grid's rows and nodes."""

from __future__ import annotations

from typing import Any

from bench.contract.results.breakdown import Part
from reports.cells.figures import mean_of
from reports.cells.grid import CellRuns
from reports.cells.metrics import BY_KEY
from reports.render.html.axis_places import AxisPlaces
from reports.render.html.numbers import short
from reports.render.html.row_looks import row_look
from reports.render.plotting.drawing import row_number
from reports.render.plotting.style import Look
from reports.stats.intervals import mean
from reports.tables.parts import time_text
from reports.tables.table_cell import TableCell
from reports.tables.tables import Table

_PLOTTED = ("tokens_per_s", "efficiency", "peak_memory_gib", "state_gib")
_QUARTILES = ("step_s_q1", "step_s_median", "step_s_q3")


def chart_data(table: Table, looks: dict[str, Look], places: AxisPlaces) -> dict[str, Any]:
    """Return everything that is drawn of a table, but for the losses."""
    blocks = {block.metric.key: block for block in table.blocks if block.metric.key in _PLOTTED}
    return {
        "title": table.grid.title,
        "places": places.of(table.grid.labels),
        "node_places": [places.of({"nodes": nodes}) for nodes in table.grid.nodes],
        "nodes": table.grid.nodes,
        "reference": str(table.reference),
        "rows": [
            {
                "label": row.label,
                "places": places.of(row.labels | ({"cuda_streams": row.cuda_streams} if row.uses_streams else {})),
                "look": row_look(looks[row.look], row_number(table, row)),
            }
            for row in table.grid.rows
        ],
        "metrics": {key: [[_point(cell) for cell in line] for line in block.cells] for key, block in blocks.items()},
        "ideal": _ideal(table),
        "steps": [[_steps(row.cells.get(nodes)) for nodes in table.grid.nodes] for row in table.grid.rows],
        "breakdown": _breakdown(table),
    }


def _point(cell: TableCell) -> list[Any] | None:
    """Return value, low, high and text; None for a cell without a figure, or with one that is not comparable."""
    if cell.figure is None or cell.figure.differing:
        return None
    estimate = cell.figure.estimate
    return [short(estimate.value), short(estimate.low), short(estimate.high), cell.text]


def _ideal(table: Table) -> list[float | None] | None:
    """Return tokens/s by node count if the reference scaled ideally; None where it did not complete."""
    reference = table.reference
    start = mean_of(BY_KEY["tokens_per_s"], reference.cell) if reference.cell else None
    if start is None:
        return None
    return [short(start.estimate.value * nodes / reference.nodes) for nodes in table.grid.nodes]


def _steps(cell: CellRuns | None) -> list[Any] | None:
    """Return the quartiles of step times in ms, each the mean over repeats, and their text."""
    found = [mean(list(cell.figures(name).values())) for name in _QUARTILES] if cell else []
    means = [estimate for estimate in found if estimate is not None]
    if len(means) != len(_QUARTILES):
        return None
    low, median, high = (time_text(estimate.value) for estimate in means)
    return [*(short(1000 * estimate.value) for estimate in means), f"median {median}, quartiles {low} and {high}"]


def _breakdown(table: Table) -> dict[str, Any] | None:
    """Return the parts of the shown rows and node counts; None where there are none."""
    if table.breakdown is None:
        return None
    places = {row.label: place for place, row in enumerate(table.grid.rows)}
    cells = [cell for cell in table.breakdown.distinct if cell.row.label in places and cell.nodes in table.grid.nodes]
    if not cells:
        return None
    return {
        "parts": [part.value for part in Part],
        "cells": [
            {
                "row": places[cell.row.label],
                "nodes": cell.nodes,
                "step": time_text(cell.step),
                "parts": [short(1000 * cell.parts[part]) for part in Part],
                "texts": [time_text(cell.parts[part]) for part in Part],
            }
            for cell in cells
        ],
    }
