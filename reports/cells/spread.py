"""Cells whose repeats differ more than they should, or whose intervals leave out a part of the noise."""

from __future__ import annotations

from collections.abc import Iterator

from reports.cells.grid import CellRuns, Grid
from reports.data.frame import LoadedSweep
from reports.stats.intervals import FEWEST_FOR_INTERVAL
from reports.stats.spread import differ_beyond_blocks

Cells = set[tuple[str, int]]
"""Cells as (row label, node count)."""


def completed_cells(grid: Grid) -> Iterator[tuple[str, int, CellRuns]]:
    """Yield (row label, node count, cell) of the cells with a completed run."""
    return ((row.label, nodes, cell) for row, nodes, cell in grid.places() if cell.completed)


def of_few_allocations(grid: Grid) -> Cells:
    """Return the cells with repeats enough in batch jobs, but of too few jobs to know how allocations differ."""
    found = set()
    for label, nodes, cell in completed_cells(grid):
        in_jobs = all(record.get("job") for record in cell.completed)
        if in_jobs and len(cell.by_allocation("tokens_per_s")) < FEWEST_FOR_INTERVAL <= len(cell.completed):
            found.add((label, nodes))
    return found


def noisy(grid: Grid, sweep: LoadedSweep) -> Cells:
    """Return the cells whose repeats differ more than their blocks explain."""
    return {
        (label, nodes) for label, nodes, cell in completed_cells(grid) if differ_beyond_blocks(_blocks(cell, sweep))
    }


def _blocks(cell: CellRuns, sweep: LoadedSweep) -> list[list[float]]:
    measured = (sweep.results[record["run"]].measured for record in cell.completed)
    return [found.window.block_tokens_per_s for found in measured if found is not None]
