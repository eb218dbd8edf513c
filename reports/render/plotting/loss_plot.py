"""The loss plot: training perplexity over wall time and over tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from bench.contract.results.result import Result
from reports.cells.grid import CellRuns
from reports.data.step_table import Floats
from reports.data.words import counted
from reports.render.plotting.drawing import REFERENCE_LINE, add_legend, caution_names, new_figure, row_line
from reports.render.plotting.loss_lines import LARGEST, LossLine, loss_lines, most_completed
from reports.render.plotting.style import Look
from reports.tables.tables import Table

_BAND = "Lines: mean over repeats. Bands: smallest to largest repeat."
_GROUPS = "Time and loss of federated rows: mean over groups."
_VALIDATIONS = "Large open markers: validation loss of the averaged model, mean over repeats; its time is not counted."
_UNITS = ((7200.0, 3600.0, "h"), (120.0, 60.0, "min"), (0.0, 1.0, "s"))
"""From how many seconds on a unit is used, its seconds, and its name."""
_Scaled = tuple[Axes, float]
"""Axes, and the unit of their horizontal values."""


def loss_plot(
    table: Table, sweep: Path, looks: dict[str, Look], results: Mapping[str, Result] = MappingProxyType({})
) -> tuple[Figure | None, list[str]]:
    """Return perplexity over wall time and over tokens on the nodes where most rows completed, and what is unreadable.

    None where no run has losses. Perplexity is exp(training loss), which is the loss itself on a logarithmic axis.
    `results`, by run id, have the validations during the training.
    """
    grid = table.grid
    nodes = most_completed(grid)
    lines, problems = loss_lines(grid, nodes, sweep, results)
    if not lines:
        return None, problems
    title = f"Training perplexity: {grid.title}, on {counted(nodes, 'node')}"
    figure, (over_time, over_tokens) = new_figure(title, panels=2)
    unit, unit_name = _unit(max(curve.seconds[-1] for line in lines for curve in line.curves))
    for line in lines:
        style = row_line(table, line.row, looks)
        _draw(over_time, line, np.mean([curve.seconds for curve in line.curves], axis=0) / unit, style, len(grid.rows))
        _draw(over_tokens, line, np.mean([curve.tokens for curve in line.curves], axis=0), style, len(grid.rows))
        _draw_validations((over_time, unit), (over_tokens, 1.0), line, style)
    notes = [*_entropy_rate((over_time, over_tokens), lines)]
    notes += [_VALIDATIONS] if any(any(line.validations) for line in lines) else []
    notes += [_BAND] if any(len(line.curves) > 1 for line in lines) else []
    notes += [_GROUPS] if any(_is_federated(line.cell) for line in lines) else []
    _perplexity_axis(over_time)
    over_time.set_xlabel(f"wall time from the first step ({unit_name})")
    over_tokens.set_xlabel("trained tokens")
    over_tokens.xaxis.set_major_locator(MaxNLocator(5))
    over_tokens.xaxis.set_major_formatter(FuncFormatter(_tokens))
    over_time.set_ylabel("training perplexity")
    add_legend(figure, over_tokens, [*notes, *caution_names(table)])
    return figure, problems


def _draw(axes: Axes, line: LossLine, along: Floats, style: dict[str, Any], rows: int) -> None:
    """Draw a row's mean and band; the markers of `rows` rows are staggered, so that coinciding lines show all."""
    every = max(rows, len(along) // 8)
    axes.plot(along, np.exp(line.losses.mean(axis=0)), markevery=(line.number % every, every), **style)
    low, high = np.exp(line.losses.min(axis=0)), np.exp(line.losses.max(axis=0))
    axes.fill_between(along, low, high, color=style["color"], alpha=0.15, linewidth=0)


def _draw_validations(over_time: _Scaled, over_tokens: _Scaled, line: LossLine, style: dict[str, Any]) -> None:
    """Draw the means of the validations that all repeats have, as large markers."""
    losses = [[each.loss for each in of_run] for of_run in line.validations]
    if not all(losses) or len({len(of_run) for of_run in losses}) > 1:
        return
    steps = [each.step - 1 for each in line.validations[0]]
    perplexity = np.exp(np.minimum(losses, LARGEST).mean(axis=0))
    look = {
        "color": style["color"],
        "marker": style["marker"],
        "markersize": 9,
        "linestyle": "none",
        "fillstyle": "none",
    }
    for (axes, unit), name in ((over_time, "seconds"), (over_tokens, "tokens")):
        along = np.mean([getattr(curve, name)[steps] for curve in line.curves], axis=0) / unit
        axes.plot(along, perplexity, **look)


def _is_federated(cell: CellRuns) -> bool:
    return cell.planned.layout is not None and cell.planned.layout.federation > 1


def _unit(seconds: float) -> tuple[float, str]:
    return next((length, name) for least, length, name in _UNITS if seconds >= least)


def _entropy_rate(panels: Sequence[Axes], lines: Sequence[LossLine]) -> list[str]:
    """Draw the entropy rates of the data that leave the losses half of the axis; return a note of the others."""
    floors = sorted({floor for line in lines for floor in line.cell.figures("entropy_rate").values()})
    low, high = min(line.losses.min() for line in lines), max(line.losses.max() for line in lines)
    below = [floor for floor in floors if low - floor > high - low]
    for floor in floors:
        for axes in () if floor in below else panels:
            label = "entropy rate of the data" if floor == floors[-1] else None
            axes.axhline(np.exp(floor), label=label, **REFERENCE_LINE)
    shown = ", ".join(f"{np.exp(floor):.3g}" for floor in below)
    return [f"Below the axis: perplexity {shown}, the entropy rate of the data."] if below else []


def _perplexity_axis(axes: Axes) -> None:
    """Set a logarithmic axis, with steps of 1, 2 and 5 below three decades and round numbers within one."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    by_decade = LogLocator(subs=(1.0, 2.0, 5.0) if high / low < 1000 else (1.0,))
    axes.yaxis.set_major_locator(by_decade if high / low > 10 else MaxNLocator(6))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.4g}"))
    axes.yaxis.set_minor_locator(NullLocator())


def _tokens(value: float, _: object) -> str:
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"
