"""All runs of several sweeps as one tidy frame."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from os import PathLike
from typing import Any

import pandas as pd

from reports.analysis.sweeps import ORIGIN, SweepOfNight, sweeps
from reports.analysis.tidy import ROW, finished, joined, row_columns
from reports.cells.figures import same_as_text
from reports.cells.grid import grids
from reports.cells.targets import with_targets
from reports.data.columns.base import Kind, kinds_of
from reports.data.columns.frame_schema import AXIS, TIMED_RUNS, axis_kinds
from reports.data.columns.status import STATUS
from reports.data.columns.target import TARGET
from reports.data.frame import typed


def load(*folders: str | PathLike[str]) -> pd.DataFrame:
    """Return the implementation of `reports.load`."""
    kinds: list[dict[str, Kind]] = []
    rows: list[Mapping[Hashable, Any]] = []
    problems: list[str] = []
    for sweep in sweeps(folders):
        kinds.append(_kinds(sweep))
        rows += _rows(sweep)
        problems += sweep.read.problems
    return finished(typed(rows, joined(kinds)), problems)


def _kinds(sweep: SweepOfNight) -> dict[str, Kind]:
    same: dict[str, Kind] = {"same_as": "text"}
    return ORIGIN | ROW | same | kinds_of(STATUS) | axis_kinds(sweep.read.plan) | TIMED_RUNS | kinds_of(TARGET)


def _rows(sweep: SweepOfNight) -> Iterator[Mapping[Hashable, Any]]:
    """Yield the runs of every cell; those of equal combinations under each one's own labels."""
    origin = sweep.origin
    for grid in (with_targets(grid, sweep.read) for grid in grids(sweep.read)):
        for row, nodes, cell in grid.places():
            labels = {AXIS + name: label for name, label in cell.planned.labels.items()}
            place = origin | row_columns(grid, row, nodes) | {"same_as": same_as_text(cell).removeprefix("= ")}
            for record in cell.records:
                yield record | labels | place
