"""The loss plot: training loss against optimizer steps."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from bench.contract.storage.files import RunFolder
from reports.data.words import counted
from reports.render.drawing import REFERENCE_LINE, add_legend, caution_names, new_figure, row_line
from reports.render.style import Look
from reports.tables.grid import Grid
from reports.tables.tables import Table

_STEP_COLUMNS = ["step", "tokens", "loss"]


def loss_plot(table: Table, sweep: Path, looks: dict[str, Look]) -> tuple[Figure | None, list[str]]:
    """Return training loss against steps on the nodes where most strategies completed, and a sentence per bad file.

    A line is the mean over federated groups and repeats, weighted by tokens. None where no run has losses.
    """
    grid = table.grid
    nodes = _most_completed(grid)
    figure, axes = new_figure(f"Training loss: {grid.title}, on {counted(nodes, 'node')}")
    problems: list[str] = []
    floors: set[float] = set()
    drawn = False
    for number, row in enumerate(grid.rows):
        cell = row.cells.get(nodes)
        if cell is None or not cell.completed:
            continue
        steps, unread = _steps(sweep, [record["run"] for record in cell.completed])
        problems += unread
        if steps.empty:
            continue
        weighted = (steps["loss"] * steps["tokens"]).groupby(steps["step"]).sum()
        losses = weighted / steps.groupby("step")["tokens"].sum()
        every = max(len(grid.rows), len(losses) // 8)  # staggered, so that coinciding lines show all markers
        axes.plot(losses.index, losses.to_numpy(), markevery=(number, every), **row_line(table, row, looks))
        floors |= set(cell.figures("entropy_rate").values())
        drawn = True
    if not drawn:
        return None, problems
    for number, floor in enumerate(sorted(floors)):
        label = None if number else "entropy rate of the data"
        axes.axhline(floor, label=label, **REFERENCE_LINE)
    axes.set_xlabel("optimizer step")
    axes.set_ylabel("training loss (nats/token)")
    add_legend(figure, axes, caution_names(table))
    return figure, problems


def _most_completed(grid: Grid) -> int:
    """Return the node count on which most strategies completed, the largest of several."""

    def completed(nodes: int) -> int:
        return sum(bool(row.cells[nodes].completed) for row in grid.rows if nodes in row.cells)

    return max(grid.nodes, key=lambda nodes: (completed(nodes), nodes))


def _steps(sweep: Path, runs: list[str]) -> tuple[pd.DataFrame, list[str]]:
    frames = []
    problems = []
    for run in runs:
        path = RunFolder(sweep / "runs" / run).steps
        try:
            frames.append(pd.read_parquet(path, columns=_STEP_COLUMNS))
        except (OSError, ValueError) as error:  # the types of pyarrow's errors
            problems.append(f"{path} cannot be read, so its losses are not plotted: {str(error).split(chr(10))[0]}")
    return (pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()), problems
