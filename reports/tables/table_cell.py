"""One cell of a table, as text and as data."""

from __future__ import annotations

from typing import NamedTuple

from reports.cells.figures import NOT_REACHED, Figure, ending, missing, reasons, same_as_text, shortfall
from reports.cells.grid import CellRuns
from reports.cells.metrics import Metric


class TableCell(NamedTuple):
    """One cell, as text and as data."""

    text: str
    figure: Figure | None
    outcome: str
    """`completed` where there is an estimate, else the reason why there is none."""
    same_as: str
    """`= fsdp` where the runs are those of another combination, else empty."""

    @property
    def has_interval(self) -> bool:
        """True if the text has a confidence interval."""
        return self.figure is not None and self.figure.estimate.is_interval


class Place(NamedTuple):
    """What the texts of a place in a table have in common in all blocks; `cell` is None if it has no combination."""

    cell: CellRuns | None
    marks: str
    same_as: str
    shortfall: str


def place_of(cell: CellRuns | None, footnotes: dict[str, int]) -> Place:
    """Return a place with its cell; the reasons of its failures become `footnotes`, numbered from 1."""
    marks = "".join(f" [{footnotes.setdefault(reason, len(footnotes) + 1)}]" for reason in reasons(cell))
    return Place(cell, marks, same_as_text(cell) if cell else "", shortfall(cell) if cell else "")


def cell_of(metric: Metric, place: Place, figure: Figure | None, tokens: str) -> TableCell:
    """Return what a metric's block shows in a place; `tokens` says after how many a loss is, where that matters."""
    cell, marks, same_as, short = place
    if cell is None or not cell.completed:
        outcome = ending(cell)
        return TableCell(_with(outcome + marks, same_as), None, outcome, same_as)
    if figure is None:
        outcome = missing(metric, cell)
        count = f"{cell.missed} of {len(cell.completed)}" if outcome == NOT_REACHED else ""
        return TableCell(_with(outcome, ", ".join(filter(None, (same_as, count)))), None, outcome, same_as)
    notes = ", ".join(filter(None, (same_as, short, figure.note(len(cell.completed)), tokens)))
    return TableCell(_with(metric.text(figure.estimate), notes) + marks, figure, "completed", same_as)


def _with(text: str, note: str) -> str:
    return f"{text} ({note})" if note else text
