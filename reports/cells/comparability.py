"""Whether cells may be compared: each division checked between the very cells that it divides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.contract.results.measured import Measured
from bench.contract.run import Run
from reports.cells.grid import CellRuns, Grid
from reports.cells.table_reference import TableReference
from reports.data.comparable import Kind, differences
from reports.data.frame import LoadedSweep
from reports.data.words import counted

_NAMED = 2
"""Attributes that a cell's own text names; the caution has all."""


@dataclass(frozen=True, eq=False)
class Place:
    """A completed cell with its name for people."""

    row: str
    nodes: int
    cell: CellRuns

    def __str__(self) -> str:
        return f"{self.row} on {counted(self.nodes, 'node')}"


@dataclass(frozen=True)
class Comparability:
    """Compares the documents of two cells' completed runs, each pair of cells once."""

    sweep: LoadedSweep
    found: dict[tuple[Kind, tuple[str, ...], tuple[str, ...]], list[str]] = field(default_factory=dict)

    def differences(self, kind: Kind, cell: CellRuns, other: CellRuns) -> list[str]:
        """Return the attributes that should agree and do not, with their values: `training.precision: bf16, fp32`."""
        key = kind, cell.run_ids, other.run_ids
        if key not in self.found:
            documents = [self._documents(run) for run in dict.fromkeys(cell.run_ids + other.run_ids)]
            labels = [run.labels for run, _ in documents]
            plan = self.sweep.plan
            on_purpose = [
                axis for axis in (*plan.compare, *plan.best_of) if len({each.get(axis) for each in labels}) > 1
            ]
            if plan.regime == "max-batch":  # batch sizes are found, and need not be the same
                on_purpose.append("batch_size")
            self.found[key] = differences(kind, documents, on_purpose)
        return self.found[key]

    def _documents(self, run: str) -> tuple[Run, Measured]:
        measured = self.sweep.results[run].measured
        assert measured is not None, "a completed run has figures"
        return self.sweep.runs[run], measured


def named(differing: Sequence[str]) -> str:
    """Return `not comparable: training.precision` for a cell's text, empty without differences."""
    if not differing:
        return ""
    names = [text.split(":")[0] for text in differing]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"not comparable: {', '.join(names[:_NAMED])}{more}"


def not_comparable(grid: Grid, comparability: Comparability, reference: TableReference) -> list[str]:
    """Return what differs between cells that are divided or read side by side, with the cells: a text for each group.

    A cell is checked against the table's reference, against its column's (the reference's row on the same nodes, else
    the first) and against the row's own smallest node count.
    """
    by_text: dict[str, dict[str, list[str]]] = {}
    for place, base in _pairs(grid, reference):
        for text in comparability.differences(kind_of(place.nodes, base.nodes), place.cell, base.cell):
            against = "its other repeats" if place is base else str(base)
            by_text.setdefault(text, {}).setdefault(against, []).append(str(place))
    by_places: dict[str, list[str]] = {}
    for text, concerned in by_text.items():
        where = "; ".join(f"{', '.join(names)} against {base}" for base, names in concerned.items())
        by_places.setdefault(where, []).append(text)
    return [f"{where}: {'; '.join(texts)}" for where, texts in by_places.items()]


def _pairs(grid: Grid, reference: TableReference) -> list[tuple[Place, Place]]:
    """Return (cell, what it is compared with), each pair once; two cells that show the same runs are no pair."""
    bases: dict[int, Place] = {}
    pairs = []
    places = [
        [Place(row.label, n, row.cells[n]) for n in grid.nodes if n in row.cells and row.cells[n].completed]
        for row in grid.rows
    ]
    by_preference = sorted(zip(grid.rows, places, strict=True), key=lambda each: each[0] is not reference.row)
    for _, row in by_preference:
        for place in row:
            pairs.append((place, bases.setdefault(place.nodes, place)))
            pairs.append((place, row[0]))
    every = [place for row in places for place in row]
    pairs += [(place, base) for base in every if base.cell is reference.cell for place in every]
    return [
        (place, base)
        for place, base in dict.fromkeys(pairs)
        if place is base or place.cell.records != base.cell.records
    ]


def kind_of(nodes: int, others: int) -> Kind:
    """Return what must agree between cells on these node counts."""
    return "across-strategies" if nodes == others else "across-nodes"
