"""A run's row of a frame, from its documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.contract.base import Purpose
from bench.contract.plan import Plan
from bench.contract.results.measured import Measured, Provenance
from bench.contract.run import Run
from reports.data.agreement import Documents
from reports.data.columns.base import Column, Kind, Row, kinds_of, row
from reports.data.columns.frame_schema import BREAKDOWN_RUNS, TIMED_RUNS, axis_kinds
from reports.data.columns.measured import MEASURED
from reports.data.columns.origin import ORIGIN
from reports.data.columns.parts import PARTS
from reports.data.columns.settings import CELL, LAYOUT, PREDICTED, SETTINGS, asked
from reports.data.columns.status import ATTEMPT, STATUS, Status


def _nothing(columns: Sequence[Column[Any]]) -> Row:
    return (None,) * len(columns)


_NO_LAYOUT, _NOT_ASKED = _nothing(LAYOUT), _nothing((*SETTINGS, *PREDICTED))
_NO_ATTEMPT, _NO_ORIGIN = _nothing(ATTEMPT), _nothing(ORIGIN)


def kinds_of_rows(plan: Plan, purpose: Purpose) -> dict[str, Kind]:
    """Return the columns that rows of runs of this purpose have, in their order."""
    return kinds_of(STATUS) | axis_kinds(plan) | (TIMED_RUNS if purpose == "measure" else BREAKDOWN_RUNS)


@dataclass(frozen=True)
class RowMaker:
    """Makes the rows of a sweep. Tuples, since dictionaries of 130 columns take several times the time and memory."""

    axes: tuple[str, ...]
    _origins: dict[int, tuple[Provenance, Row]] = field(default_factory=dict)
    """By the identity of a provenance: nearly all runs of a sweep share one."""

    def row(self, found: Documents, status: Status) -> Row:
        """Return a run's row, with as much as its documents hold."""
        cell, run, result = found.cell, found.run, found.result
        planned = row(STATUS, status) + tuple(map(cell.labels.get, self.axes)) + row(CELL, cell)
        planned += _NO_LAYOUT if cell.layout is None else row(LAYOUT, cell.layout)
        if run is None:
            return planned + _NOT_ASKED + _NO_ATTEMPT + _no_figures(found.purpose) + _NO_ORIGIN
        planned += asked(run)
        if result is None:
            return planned + _NO_ATTEMPT + _no_figures(found.purpose) + _NO_ORIGIN
        planned += row(ATTEMPT, result, run.nodes)
        if result.measured is None:
            return planned + _no_figures(found.purpose) + _NO_ORIGIN
        return planned + _figures(found.purpose, run, result.measured) + self._origin(result.measured.provenance)

    def _origin(self, provenance: Provenance) -> Row:
        if id(provenance) not in self._origins:
            self._origins[id(provenance)] = provenance, row(ORIGIN, provenance)
        return self._origins[id(provenance)][1]


def _figures(purpose: Purpose, run: Run, measured: Measured) -> Row:
    """Return what the run is for: its figures, or the parts of its steps."""
    if purpose == "measure":
        return row(MEASURED, measured, run.world)
    return _no_figures(purpose) if measured.breakdown is None else row(PARTS, measured.breakdown)


def _no_figures(purpose: Purpose) -> Row:
    return _nothing(MEASURED if purpose == "measure" else PARTS)
