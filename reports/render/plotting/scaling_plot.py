"""The scaling plot: tokens/s against nodes."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from reports.cells.figures import ending, mean_of
from reports.cells.grid import Grid
from reports.cells.metrics import BY_KEY
from reports.data.words import counted
from reports.render.plotting.drawing import REFERENCE_LINE, add_legend, caution_names, new_figure, row_line
from reports.render.plotting.style import Look
from reports.stats.intervals import FEWEST_FOR_INTERVAL
from reports.tables.tables import Table

_SPEED = BY_KEY["tokens_per_s"]
_FARTHEST = 2.0
"""Factor between a value and the end of its error bar that the axes show at most."""


def scaling_plot(table: Table, looks: dict[str, Look]) -> Figure | None:
    """Return tokens/s against nodes on log2 axes, with ideal scaling from the reference; None if no run completed."""
    figure, (axes,) = new_figure(f"Scaling: {table.grid.title}")
    drawn: list[float] = []
    for place, row in enumerate(table.grid.rows):
        speeds = {nodes: mean_of(_SPEED, cell) for nodes, cell in row.cells.items()}
        found = [(nodes, speed.estimate) for nodes, speed in sorted(speeds.items()) if speed is not None]
        if not found:
            continue
        values = [speed.value for _, speed in found]
        below = [max(0.0, speed.value - speed.low) for _, speed in found]  # rounding may put a bound beyond its value
        above = [max(0.0, speed.high - speed.value) for _, speed in found]
        # the first row is on top with the smallest marker, so that points that coincide all show
        line = row_line(table, row, looks) | {"markersize": min(10, 5 + 1.5 * place), "zorder": 3 - place / 100}
        axes.errorbar([nodes for nodes, _ in found], values, yerr=[below, above], capsize=3, **line)
        # the end of a bar far from its value is not worth decades of the axis
        drawn += [max(speed.low, speed.value / _FARTHEST) for _, speed in found]
        drawn += [min(speed.high, speed.value * _FARTHEST) for _, speed in found]
    if not drawn:
        return None
    drawn += _ideal(axes, table)
    _nodes_axis(axes, table.grid.nodes)
    _tokens_axis(axes, drawn)
    axes.set_xlabel("nodes")
    axes.set_ylabel("tokens/s")
    add_legend(figure, axes, [*_bars(table.grid), *_not_shown(table.grid), *caution_names(table)])
    return figure


def _ideal(axes: Axes, table: Table) -> list[float]:
    """Draw the line of ideal scaling and return its values; none where the reference did not complete."""
    reference = table.reference
    start = mean_of(_SPEED, reference.cell) if reference.cell else None
    if start is None:
        return []
    nodes = table.grid.nodes
    values = [start.estimate.value * count / reference.nodes for count in nodes]
    axes.plot(nodes, values, label=f"ideal from {reference}", gid="ideal", **REFERENCE_LINE)
    return values


def _nodes_axis(axes: Axes, nodes: list[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(nodes))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(nodes[0] / 1.15, nodes[-1] * 1.15)


def _tokens_axis(axes: Axes, values: list[float]) -> None:
    """Set log2 with a tick for each doubling, or at round numbers where the values are close together."""
    axes.set_yscale("log", base=2)
    low, high = min(values) / 1.15, max(values) * 1.15
    ticks = list(MaxNLocator(5).tick_values(low, high))
    if high / low > 4:
        power = 10.0 ** math.floor(math.log10(low))
        low = max(power * step for step in (1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 6, 8) if power * step <= low)
        ticks = [low * 2**doubling for doubling in range(math.ceil(math.log2(high / low)))]
    axes.set_ylim(low, high)
    axes.yaxis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 100 else f"{value:.3g}"))
    axes.yaxis.set_minor_locator(NullLocator())


def _bars(grid: Grid) -> list[str]:
    most = max(len(cell.completed) for cell in grid.cells)
    if most == 1:
        return []
    if most < FEWEST_FOR_INTERVAL:
        return ["Error bars: range of 2 repeats."]
    return [
        "Error bars: 95 % interval of the geometric mean over repeats, or over sessions with several repeats (of 2: "
        "the range)."
    ]


def _not_shown(grid: Grid) -> list[str]:
    missing = [
        f"{row.label} on {counted(nodes, 'node')} ({ending(row.cells.get(nodes))})"
        for row in grid.rows
        for nodes in grid.nodes
        if nodes not in row.cells or not row.cells[nodes].completed
    ]
    return [f"Not shown: {', '.join(missing)}."] if missing else []
