"""The estimate of a cell from its runs, or the text that replaces it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from reports.cells.comparability import Comparability, kind_of, named
from reports.cells.grid import CellRuns, Grid, Row, axis_text
from reports.cells.metrics import Metric
from reports.cells.table_reference import TableReference
from reports.data.columns.status import DAMAGED, NOT_RUN
from reports.data.words import counted
from reports.stats.comparison import Comparison, Rule, difference, ratio
from reports.stats.intervals import Estimate, geometric_mean, mean, over_allocations

NOT_REACHED = "not reached"
"""What becomes of a cell of which a run did not reach the target loss."""


class Figure(NamedTuple):
    """What a cell shows: an estimate and, if it compares cells, how it was made."""

    estimate: Estimate
    sessions: int = 0
    """Allocations of which it is the mean; 0 if it is the mean of runs, or compares cells."""
    comparison: Comparison | None = None
    differing: Sequence[str] = ()
    """Attributes that should agree between the compared cells and do not, with their values."""

    @property
    def lacks_interval(self) -> bool:
        """True for a comparison of too few pairs or sessions."""
        made = self.comparison
        return made is not None and made.rule is not Rule.ITSELF and not made.estimate.is_interval

    def note(self, repeats: int) -> str:
        """Return why cells are not comparable, else what a figure is of if not of each of `repeats`, or its pair."""
        made = self.comparison
        if self.differing:
            return named(self.differing)
        if self.sessions:
            return f"of {counted(self.sessions, 'session')}"
        if made is None:
            return f"of {counted(self.estimate.size, 'repeat')}" if self.estimate.size < repeats else ""
        if made.rule is Rule.ITSELF:
            return ""
        if made.rule is Rule.SESSIONS:
            ours, theirs = made.sessions
            return f"of different sessions: {ours} and {theirs}"
        return counted(made.size, "pair") if made.size < repeats else ""


def figure_of(
    metric: Metric, grid: Grid, row: Row, nodes: int, reference: TableReference, comparability: Comparability
) -> Figure | None:
    """Return the figure of one cell; None where a run that it needs did not complete."""
    cell = row.cells.get(nodes)
    if cell is None or (metric.to_target and cell.missed):
        return None
    if metric.against is None:
        return mean_of(metric, cell)
    on, other = _other(metric, grid, row, nodes, reference)
    if other is not None and metric.to_target and other.missed:
        return None
    compare = ratio if metric.compared == "ratio" else difference
    made = None if other is None else compare(cell.samples(metric.column), other.samples(metric.column))
    if made is None or other is None:
        return None
    kind = "losses" if metric.at_tokens else kind_of(nodes, on)
    return Figure(made.estimate, comparison=made, differing=comparability.differences(kind, cell, other))


def mean_of(metric: Metric, cell: CellRuns) -> Figure | None:
    """Return the mean of a cell's completed runs; None without one that has the figure.

    What the machine has a part in depends on the allocation, nothing else does.
    """
    allocations = cell.by_allocation(metric.column)
    every = [value for values in allocations for value in values]
    if metric.of_machine:
        average = geometric_mean if all(value > 0 for value in every) else mean
        found, are_units = over_allocations(average, allocations)
    else:
        found, are_units = mean(every), False
    return None if found is None else Figure(found, sessions=len(allocations) if are_units else 0)


def _other(metric: Metric, grid: Grid, row: Row, nodes: int, reference: TableReference) -> tuple[int, CellRuns | None]:
    """Return the node count and the cell that a cell is compared with."""
    if metric.against == "reference":
        return reference.nodes, reference.cell
    if metric.against == "own smallest":
        own = ((n, row.cells[n]) for n in grid.nodes if n in row.cells and row.cells[n].completed)
        return next(own, (nodes, None))
    return nodes, reference.row.cells.get(nodes) if reference.row else None


def ending(cell: CellRuns | None) -> str:
    """Return the text of a cell without completed runs: its outcomes, never an empty text."""
    if cell is None:
        return "not in the matrix"
    if cell.planned.status == "impossible":
        return "impossible"
    return ", ".join(dict.fromkeys(_displayed(record["outcome"]) for record in cell.records)) or "not run"


def shortfall(cell: CellRuns) -> str:
    """Return `2 of 3; oom` where only some runs of a cell completed, else an empty text."""
    if not cell.others:
        return ""
    outcomes = dict.fromkeys(_displayed(record["outcome"]) for record in cell.others)
    return f"{len(cell.completed)} of {len(cell.records)}; {', '.join(outcomes)}"


def reasons(cell: CellRuns | None) -> list[str]:
    """Return why a cell is impossible or its runs failed, each reason once: `oom: CUDA out of memory ...`."""
    if cell is None:
        return []
    if cell.planned.status == "impossible":
        return [f"impossible: {cell.planned.reason}"]
    return list(
        dict.fromkeys(
            f"{record['outcome']}: {record['reason']}"
            for record in cell.others
            if record["outcome"] != NOT_RUN and record["reason"]
        )
    )


def missing(metric: Metric, cell: CellRuns) -> str:
    """Return why completed runs of a cell give no figure."""
    if metric.to_target and cell.missed:
        return NOT_REACHED
    return metric.absent if metric.against is None else "no reference"


def same_as_text(cell: CellRuns) -> str:
    """Return `= fsdp` where a cell shows the runs of another combination, else an empty text."""
    if cell.planned.status != "same":
        return ""
    other = cell.planned.same_as
    if "strategy" in other:
        return f"= {other['strategy']}"
    return "= " + ", ".join(axis_text(name, label) for name, label in other.items())


def tally(outcomes: list[str]) -> str:
    """Return `22 completed, 1 oom, 1 not run`, the most frequent first."""
    return ", ".join(f"{count} {_displayed(outcome)}" for outcome, count in Counter(outcomes).most_common())


def _displayed(outcome: object) -> str:
    return str(outcome).replace(NOT_RUN, "not run")


def damaged(cell: CellRuns) -> bool:
    """Return whether a file of one of the cell's runs cannot be read."""
    return any(record["outcome"] == DAMAGED for record in cell.records)
