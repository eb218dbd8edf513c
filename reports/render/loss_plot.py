"""The loss plot: training perplexity over wall time and over tokens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from bench.contract.storage.files import RunFolder
from reports.data.curves import Curve, Series, read_curve
from reports.data.words import counted
from reports.render.drawing import REFERENCE_LINE, add_legend, caution_names, new_figure, row_line
from reports.render.style import Look
from reports.tables.grid import CellRuns, Grid
from reports.tables.tables import Table

_BAND = "Lines: mean over repeats. Bands: smallest to largest repeat."
_GROUPS = "Time and loss of federated rows: mean over groups."
_UNITS = ((7200.0, 3600.0, "h"), (120.0, 60.0, "min"), (0.0, 1.0, "s"))
"""From how many seconds on a unit is used, its seconds, and its name."""
_LARGEST = 700.0
"""Loss of which the perplexity is still a number."""


def loss_plot(table: Table, sweep: Path, looks: dict[str, Look]) -> tuple[Figure | None, list[str]]:
    """Return perplexity over wall time and over tokens on the nodes where most rows completed, and what is unreadable.

    None where no run has losses. Perplexity is exp(training loss), which is the loss itself on a logarithmic axis.
    """
    grid = table.grid
    nodes = _most_completed(grid)
    problems: list[str] = []
    curves: dict[int, list[Curve]] = {}
    for number, row in enumerate(grid.rows):
        if nodes in row.cells:
            read, unread = _curves(sweep, row.cells[nodes])
            problems += unread
            curves |= {number: read} if read else {}
    if not curves:
        return None, problems
    figure, (over_time, over_tokens) = new_figure(
        f"Training perplexity: {grid.title}, on {counted(nodes, 'node')}", panels=2
    )
    unit, unit_name = _unit(max(curve.seconds[-1] for of_row in curves.values() for curve in of_row))
    for number, of_row in curves.items():
        style = row_line(table, grid.rows[number], looks)
        losses = np.minimum([curve.losses for curve in of_row], _LARGEST)
        every = max(len(grid.rows), losses.shape[1] // 8)  # staggered, so that coinciding lines show all markers
        for axes, along in (
            (over_time, np.mean([curve.seconds for curve in of_row], axis=0) / unit),
            (over_tokens, np.mean([curve.tokens for curve in of_row], axis=0)),
        ):
            axes.plot(along, np.exp(losses.mean(axis=0)), markevery=(number % every, every), **style)
            band = {"color": style["color"], "alpha": 0.15, "linewidth": 0}
            axes.fill_between(along, np.exp(losses.min(axis=0)), np.exp(losses.max(axis=0)), **band)
    shown = [np.minimum(curve.losses, _LARGEST) for of_row in curves.values() for curve in of_row]
    floors = _floors([grid.rows[number].cells[nodes] for number in curves])
    notes = [*_entropy_rate((over_time, over_tokens), shown, floors)]
    notes += [_BAND] if any(len(of_row) > 1 for of_row in curves.values()) else []
    notes += [_GROUPS] if any(_is_federated(grid.rows[number].cells[nodes]) for number in curves) else []
    _perplexity_axis(over_time)
    over_time.set_xlabel(f"wall time from the first step ({unit_name})")
    over_tokens.set_xlabel("trained tokens")
    over_tokens.xaxis.set_major_locator(MaxNLocator(5))
    over_tokens.xaxis.set_major_formatter(FuncFormatter(_tokens))
    over_time.set_ylabel("training perplexity")
    add_legend(figure, over_tokens, [*notes, *caution_names(table)])
    return figure, problems


def _most_completed(grid: Grid) -> int:
    """Return the node count on which most strategies completed, the largest of several."""

    def completed(nodes: int) -> int:
        return sum(bool(row.cells[nodes].completed) for row in grid.rows if nodes in row.cells)

    return max(grid.nodes, key=lambda nodes: (completed(nodes), nodes))


def _curves(sweep: Path, cell: CellRuns) -> tuple[list[Curve], list[str]]:
    """Return the curves of a cell's completed runs, and a sentence for each that cannot be read."""
    curves = []
    problems = []
    for record in cell.completed:
        path = RunFolder(sweep / "runs" / str(record["run"])).steps
        try:
            curves.append(read_curve(path))
        except (OSError, ValueError, KeyError) as error:  # the types of pyarrow's errors
            problems.append(f"{path} cannot be read, so its losses are not plotted: {str(error).split(chr(10))[0]}")
    return curves, problems


def _is_federated(cell: CellRuns) -> bool:
    return cell.planned.layout is not None and cell.planned.layout.federation > 1


def _unit(seconds: float) -> tuple[float, str]:
    return next((length, name) for least, length, name in _UNITS if seconds >= least)


def _floors(cells: Sequence[CellRuns]) -> list[float]:
    return sorted({floor for cell in cells for floor in cell.figures("entropy_rate").values()})


def _entropy_rate(panels: Sequence[Axes], losses: Sequence[Series], floors: Sequence[float]) -> list[str]:
    """Draw the entropy rates of the data that leave the losses half of the axis; return a note of the others."""
    low, high = min(each.min() for each in losses), max(each.max() for each in losses)
    below = [floor for floor in floors if low - floor > high - low]
    for floor in floors:
        for axes in () if floor in below else panels:
            label = "entropy rate of the data" if floor == floors[-1] else None
            axes.axhline(np.exp(floor), label=label, **REFERENCE_LINE)
    shown = ", ".join(f"{np.exp(floor):.3g}" for floor in below)
    return [f"Below the axis: perplexity {shown}, the entropy rate of the data."] if below else []


def _perplexity_axis(axes: Axes) -> None:
    """Set a logarithmic axis, with round numbers where the values are within one decade."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator() if high / low > 100 else MaxNLocator(6))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.4g}"))
    axes.yaxis.set_minor_locator(NullLocator())


def _tokens(value: float, _: object) -> str:
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"
