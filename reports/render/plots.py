"""Scaling and loss plots as SVG and PNG. Figures are made without pyplot, so no global state is touched."""

from __future__ import annotations

import math
from io import BytesIO
from pathlib import Path
from textwrap import fill
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from bench.contract.files import RunFolder
from reports.data.words import counted
from reports.render.style import Look, row_style
from reports.stats.intervals import mean
from reports.tables.figures import ending
from reports.tables.grid import Grid, Row
from reports.tables.tables import Table

_WIDTH, _HEIGHT = 7.2, 4.8  # inches
_STEP_COLUMNS = ["step", "tokens", "loss"]


def scaling_plot(table: Table, looks: dict[str, Look]) -> Figure | None:
    """Tokens/s against nodes on log2 axes, with the ideal line from the reference; None where no run completed."""
    figure, axes = _figure(f"Scaling: {table.grid.title}")
    drawn: list[float] = []
    for place, row in enumerate(table.grid.rows):
        speeds = {nodes: mean(list(cell.figures("tokens_per_s").values())) for nodes, cell in row.cells.items()}
        found = [(nodes, speed) for nodes, speed in sorted(speeds.items()) if speed is not None]
        if not found:
            continue
        values = [speed.value for _, speed in found]
        below = [max(0.0, speed.value - speed.low) for _, speed in found]
        above = [max(0.0, speed.high - speed.value) for _, speed in found]
        # the first row is on top with the smallest marker, so that points that coincide all show
        line = _line(table, row, looks) | {"markersize": min(10, 5 + 1.5 * place), "zorder": 3 - place / 100}
        axes.errorbar([nodes for nodes, _ in found], values, yerr=[below, above], capsize=3, **line)
        drawn += values
    if not drawn:
        return None
    drawn += _ideal(axes, table)
    _nodes_axis(axes, table.grid.nodes)
    _tokens_axis(axes, drawn)
    axes.set_xlabel("nodes")
    axes.set_ylabel("tokens/s")
    _legend(figure, axes, [*_bars(table.grid), *_not_shown(table.grid), *_caution_names(table)])
    return figure


def loss_plot(table: Table, sweep: Path, looks: dict[str, Look]) -> tuple[Figure | None, list[str]]:
    """Training loss over steps at the node count where most strategies completed, and a sentence per unreadable file.

    A line is the mean over groups and repeats, weighted by tokens.
    """
    grid = table.grid
    nodes = _most_completed(grid)
    figure, axes = _figure(f"Training loss: {grid.title}, on {counted(nodes, 'node')}")
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
        every = max(len(grid.rows), len(losses) // 8)  # staggered, so that lines that coincide show their markers
        axes.plot(losses.index, losses.to_numpy(), markevery=(number, every), **_line(table, row, looks))
        floors |= set(cell.figures("entropy_rate").values())
        drawn = True
    if not drawn:
        return None, problems
    for number, floor in enumerate(sorted(floors)):
        label = None if number else "entropy rate of the data"
        axes.axhline(floor, color="0.35", linestyle=(0, (6, 3)), linewidth=1.2, label=label)
    axes.set_xlabel("optimizer step")
    axes.set_ylabel("training loss (nats/token)")
    _legend(figure, axes, _caution_names(table))
    return figure, problems


def rendered(figure: Figure, kind: str) -> bytes:
    """The figure as `svg` or `png`; the same figure gives the same bytes."""
    content = BytesIO()
    with mpl.rc_context({"svg.hashsalt": "xffl-bench", "svg.fonttype": "none"}):
        figure.savefig(content, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)
    return content.getvalue()


def _figure(title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
    axes = figure.add_subplot()
    figure.suptitle(fill(title, 70), fontsize=11, x=0.02, ha="left")
    axes.grid(visible=True, color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _line(table: Table, row: Row, looks: dict[str, Look]) -> dict[str, Any]:
    same_strategy = [other for other in table.grid.rows if other.strategy == row.strategy]
    number = same_strategy.index(row)
    return {"label": row.label, "linewidth": 1.6, "markersize": 6, **row_style(looks[row.strategy], number)}


def _ideal(axes: Axes, table: Table) -> list[float]:
    """Draw the line of ideal scaling; empty where the reference did not complete."""
    reference = table.reference
    start = mean(list(reference.cell.figures("tokens_per_s").values())) if reference.cell else None
    if start is None:
        return []
    nodes = table.grid.nodes
    values = [start.value * count / reference.nodes for count in nodes]
    axes.plot(
        nodes, values, color="0.35", linestyle=(0, (6, 3)), linewidth=1.2, label=f"ideal from {reference}", gid="ideal"
    )
    return values


def _most_completed(grid: Grid) -> int:
    """The node count where most strategies completed, the largest of these."""

    def completed(nodes: int) -> int:
        return sum(bool(row.cells[nodes].completed) for row in grid.rows if nodes in row.cells)

    return max(grid.nodes, key=lambda nodes: (completed(nodes), nodes))


def _nodes_axis(axes: Axes, nodes: list[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(nodes))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(nodes[0] / 1.15, nodes[-1] * 1.15)


def _tokens_axis(axes: Axes, values: list[float]) -> None:
    """Log2, with a tick for each doubling, or at round numbers where the values lie close together."""
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


def _legend(figure: Figure, axes: Axes, notes: list[str]) -> None:
    axes.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.01, 0.5), handlelength=3)
    if notes:
        figure.supxlabel("\n".join(fill(note, 105) for note in notes), x=0.02, ha="left", fontsize=8, color="#7a4b00")


def _bars(grid: Grid) -> list[str]:
    most = max(len(cell.completed) for cell in grid.cells)
    if most == 1:
        return []
    return ["Error bars: 95 % interval of the mean over repeats" + ("." if most >= 3 else " (2 repeats: their range).")]


def _not_shown(grid: Grid) -> list[str]:
    missing = [
        f"{row.label} on {counted(nodes, 'node')} ({ending(row.cells.get(nodes))})"
        for row in grid.rows
        for nodes in grid.nodes
        if nodes not in row.cells or not row.cells[nodes].completed
    ]
    return [f"Not shown: {', '.join(missing)}."] if missing else []


def _caution_names(table: Table) -> list[str]:
    names = dict.fromkeys(str(notice.caution) for notice in table.notices)
    return [f"Cautions: {', '.join(names)} (explained in the report)."] if names else []


def _steps(sweep: Path, runs: list[str]) -> tuple[pd.DataFrame, list[str]]:
    frames = []
    problems = []
    for run in runs:
        path = RunFolder(sweep / "runs" / run).steps
        try:
            frames.append(pd.read_parquet(path, columns=_STEP_COLUMNS))
        except (OSError, ValueError) as error:  # pyarrow's errors are of these two kinds
            problems.append(f"{path} cannot be read, so its losses are not plotted: {str(error).split(chr(10))[0]}")
    return (pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()), problems
