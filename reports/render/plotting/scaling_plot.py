"""The scaling plot: tokens/s, efficiency and memory against nodes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator, PercentFormatter

from reports.cells.figures import ending, mean_of
from reports.cells.grid import Grid, Row
from reports.cells.metrics import BY_KEY
from reports.data.words import counted
from reports.render.plotting.drawing import REFERENCE_LINE, add_legend, caution_names, new_figure, row_line
from reports.render.plotting.error_bars import dodged, draw_points
from reports.render.plotting.style import Look
from reports.stats.intervals import FEWEST_FOR_INTERVAL, Estimate
from reports.tables.tables import Table

_SPEED = BY_KEY["tokens_per_s"]
_MOST_TICKS = 10
_CUT = "Arrow heads: the bar goes on, as the table says."
_MEMORY_NOTE = "Memory: filled, peak of the worst rank; small and hollow, the counted state of one rank."


def scaling_plot(table: Table, looks: dict[str, Look]) -> Figure | None:
    """Return tokens/s, efficiency and memory against nodes; None if no cell has a value.

    Nodes are on a log2 axis, and so are tokens/s, with ideal scaling from the reference. A panel without values is left
    out.
    """
    rows = [(place, row, row_line(table, row, looks)) for place, row in enumerate(table.grid.rows)]
    keys = [key for key in ("tokens_per_s", "efficiency", "peak_memory_gib") if _has_values(table, key)]
    if not keys:
        return None
    figure, panels = new_figure(f"Scaling: {table.grid.title}", len(keys), share_y=False)
    notes = []
    is_cut = False
    for key, axes in zip(keys, panels, strict=True):
        drawn, unit = [], _unit(table, key)
        for place, row, line in rows:
            found = list(_estimates(table, key, row))
            if found:
                along = dodged([nodes for nodes, _ in found], place, len(rows))
                ends, cut = draw_points(axes, along, [estimate for _, estimate in found], line, unit)
                drawn += ends
                is_cut |= cut
        if key == "tokens_per_s":
            drawn += _ideal(axes, table)
            _tokens_axis(axes, drawn)
        elif key == "efficiency":
            axes.axhline(1, **REFERENCE_LINE)
            _linear_axis(axes, [*drawn, 1], f"efficiency vs {table.reference}")
            axes.yaxis.set_major_formatter(PercentFormatter(1))
        else:
            drawn += _states(axes, table, rows, unit)
            _linear_axis(axes, drawn, f"memory of a rank ({'GiB' if unit == 1 else 'MiB'})")
            notes.append(_MEMORY_NOTE)
        _nodes_axis(axes, table.grid.nodes)
    notes = [*_bars(table.grid), *([_CUT] if is_cut else []), *notes, *_not_shown(table.grid), *caution_names(table)]
    add_legend(figure, panels[-1], notes, panels[0])
    return figure


def _has_values(table: Table, key: str) -> bool:
    return any(True for row in table.grid.rows for _ in _estimates(table, key, row))


def _estimates(table: Table, key: str, row: Row) -> Iterator[tuple[int, Estimate]]:
    """Yield (nodes, estimate) of a metric of the table, by ascending nodes; none that is not comparable."""
    block = next((block for block in table.blocks if block.metric.key == key), None)
    if block is None:
        return
    for nodes, cell in zip(table.grid.nodes, block.cells[table.grid.rows.index(row)], strict=True):
        if cell.figure is not None and not cell.figure.differing and cell.figure.estimate.value > 0:
            yield nodes, cell.figure.estimate


def _unit(table: Table, key: str) -> float:
    """Return the factor from GiB to the unit of the memory axis; 1 for other metrics."""
    if key != "peak_memory_gib":
        return 1.0
    highest = max(estimate.value for row in table.grid.rows for _, estimate in _estimates(table, key, row))
    return 1.0 if highest >= 1 else 1024.0


def _states(axes: Axes, table: Table, rows: list[tuple[int, Row, dict[str, Any]]], unit: float) -> list[float]:
    """Draw the counted state as hollow markers, and return its values."""
    drawn = []
    for place, row, line in rows:
        found = list(_estimates(table, "state_gib", row))
        values = [estimate.value * unit for _, estimate in found]
        along = dodged([nodes for nodes, _ in found], place, len(rows))
        look = {"color": line["color"], "marker": line["marker"], "markersize": 4, "fillstyle": "none"}
        axes.plot(along, values, linestyle="none", **look)
        drawn += values
    return drawn


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
    axes.set_xlim(nodes[0] / 1.25, nodes[-1] * 1.25)
    axes.set_xlabel("nodes")


def _linear_axis(axes: Axes, values: list[float], label: str) -> None:
    """Set an axis from 0 that shows all values."""
    axes.set_ylim(min(0.0, *values), 1.06 * max(values) or 1)
    axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.set_ylabel(label)


def _tokens_axis(axes: Axes, values: list[float]) -> None:
    """Set log2 with a tick for each doubling, or at round numbers where the values are close together."""
    axes.set_yscale("log", base=2)
    low, high = min(values) / 1.15, max(values) * 1.15
    ticks = list(MaxNLocator(5).tick_values(low, high))
    if high / low > 4:
        power = 10.0 ** math.floor(math.log10(low))
        low = max(power * step for step in (1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 6, 8) if power * step <= low)
        doublings = math.ceil(math.log2(high / low))
        ticks = [low * 2**doubling for doubling in range(0, doublings, math.ceil(doublings / _MOST_TICKS))]
    axes.set_ylim(low, high)
    axes.yaxis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 100 else f"{value:.3g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylabel("tokens/s")


def _bars(grid: Grid) -> list[str]:
    most = max(len(cell.completed) for cell in grid.cells)
    if most == 1:
        return []
    if most < FEWEST_FOR_INTERVAL:
        return ["Error bars: range of 2 repeats."]
    return ["Error bars: 95 % interval over repeats, or over sessions with several repeats (fewer than 3: range)."]


def _not_shown(grid: Grid) -> list[str]:
    missing = [
        f"{row.label} on {counted(nodes, 'node')} ({ending(row.cells.get(nodes))})"
        for row in grid.rows
        for nodes in grid.nodes
        if nodes not in row.cells or not row.cells[nodes].completed
    ]
    return [f"Not shown: {', '.join(missing)}."] if missing else []
