"""The breakdown plot: the parts of a step as stacked bars, one bar for each row and node count."""

from __future__ import annotations

from matplotlib.figure import Figure

from bench.contract.results.breakdown import Part
from reports.data.words import counted
from reports.render.plotting.drawing import add_legend, new_figure
from reports.render.plotting.style import COLOURS
from reports.tables.parts import time_text
from reports.tables.tables import Table

_BAR, _AROUND = 0.3, 2.2
"""Height of a bar with the space to the next, and of what is above and below all bars, in inches."""
_LOOKS = dict(zip(Part, [*COLOURS[:5], "0.75"], strict=True))
_HATCHES = dict(zip(Part, ["", "", "", "//", "xx", ""], strict=True))


def breakdown_plot(table: Table) -> Figure | None:
    """Return the parts of a step in milliseconds, stacked; None without a completed breakdown run."""
    found = table.breakdown
    if found is None or not found.cells:
        return None
    figure, (axes,) = new_figure(f"Breakdown of a step: {table.grid.title}")
    cells = sorted(found.distinct, key=lambda cell: cell.nodes)
    places = list(range(len(cells)))
    left = [0.0] * len(cells)
    for part in Part:
        widths = [1000 * cell.parts[part] for cell in cells]
        axes.barh(
            places, widths, 0.7, left, label=part.value, color=_LOOKS[part], hatch=_HATCHES[part], edgecolor="white"
        )
        left = [start + width for start, width in zip(left, widths, strict=True)]
    for place, end, cell in zip(places, left, cells, strict=True):
        axes.annotate(time_text(cell.step), (end, place), (4, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set_yticks(places, [f"{cell.row.label}, {counted(cell.nodes, 'node')}" for cell in cells])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.12 * max(left))
    axes.set_xlabel("ms per step, mean over ranks")
    axes.grid(visible=False, axis="y")
    notes = ["Runs of their own: the timed runs of the tables do not note the parts of a step."]
    notes += [f"Cautions: {', '.join(found.cautions)} (explained in the report)."] if found.cautions else []
    add_legend(figure, axes, notes)
    figure.set_figheight(max(figure.get_figheight(), _BAR * len(cells) + _AROUND))
    return figure
