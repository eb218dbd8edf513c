"""Figures, lines and legends, alike in all plots. Figures are made without pyplot, so no global state is touched."""

from __future__ import annotations

from textwrap import fill
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.cells.grid import Row
from reports.render.plotting.style import Look, row_style
from reports.tables.tables import Table

# Inches; the last four say what a plot of many strategies or notes needs.
_WIDTH, _HEIGHT, _PANEL = 7.2, 4.8, 4.4
_LEAST_AXES, _LEGEND_ENTRY, _NOTE_LINE, _TITLE_AND_LABELS = 2.5, 0.2, 0.15, 1.2

REFERENCE_LINE: dict[str, Any] = {"color": "0.35", "linestyle": (0, (6, 3)), "linewidth": 1.2}
"""Style of lines that are not measured: ideal scaling, the lower bound of a loss."""


def new_figure(title: str, panels: int = 1, *, share_y: bool = True) -> tuple[Figure, list[Axes]]:
    """Return an empty figure under a title, with its axes side by side."""
    figure = Figure(figsize=(_WIDTH + (panels - 1) * _PANEL, _HEIGHT), layout="constrained")
    figure.suptitle(fill(title, 70 * panels), fontsize=11, x=0.02, ha="left")
    row = list(figure.subplots(1, panels, sharey=share_y, squeeze=False)[0])
    for axes in row:
        axes.grid(visible=True, color="0.9", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    return figure, row


def row_number(table: Table, row: Row) -> int:
    """Return the place of a row among those of one look, in the table's order."""
    return [other for other in table.grid.rows if other.look == row.look].index(row)


def row_line(table: Table, row: Row, looks: dict[str, Look]) -> dict[str, Any]:
    """Return the style and label of a row's line."""
    style = row_style(looks[row.look], row_number(table, row))
    return {"label": row.label, "linewidth": 1.6, "markersize": 6, **style}


def add_legend(figure: Figure, axes: Axes, notes: list[str], of: Axes | None = None) -> None:
    """Put the legend (of the axes `of`) beside the last axes and notes below, in a figure high enough for both."""
    handles = (of or axes).get_legend_handles_labels()
    legend = axes.legend(
        *handles, frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.01, 0.5), handlelength=3
    )
    text = "\n".join(fill(note, round(105 * figure.get_figwidth() / _WIDTH)) for note in notes)
    if notes:
        figure.supxlabel(text, x=0.02, ha="left", fontsize=8, color="#7a4b00")
    beside = max(_LEAST_AXES, _LEGEND_ENTRY * len(legend.get_texts()))
    figure.set_figheight(max(_HEIGHT, beside + _NOTE_LINE * len(text.splitlines()) + _TITLE_AND_LABELS))


def lay_out(figure: Figure) -> None:
    """Place everything for good; matplotlib would do so again for each file, which takes as long as writing it."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine(None)


def caution_names(table: Table) -> list[str]:
    """Return a note with the names of the table's cautions, or none."""
    return [f"Cautions: {', '.join(table.cautions)} (explained in the report)."] if table.cautions else []
