"""A sweep's folder as a tidy pandas DataFrame: one row for every planned run, whatever its outcome."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from bench.contract.base import Purpose
from bench.contract.plan import Plan
from bench.contract.results.outcomes import Outcome
from bench.contract.results.result import JobEnd, Result
from bench.contract.run import Run
from bench.contract.storage.files import RunFolder
from reports.data.agreement import Documents, copies
from reports.data.columns.base import Column, Kind, Row, Scalar
from reports.data.curves import Course
from reports.data.faults import ReportError
from reports.data.reading import read, read_runs, row_of
from reports.data.rows import RowMaker, kinds_of_rows

NEEDED_AXES = ("model", "strategy", "nodes", "batch_size")

Record = dict[Hashable, Any]
"""One row of a frame."""


@dataclass(frozen=True)
class LoadedSweep:
    """A sweep as read from its folder."""

    plan: Plan
    frame: pd.DataFrame
    """One row for each planned run that is timed, in the order of the plan's cells, then of repeats."""
    breakdown: pd.DataFrame = field(default_factory=pd.DataFrame)
    """One row for each breakdown run, which has the parts of a step and none of the figures of `frame`."""
    runs: dict[str, Run] = field(default_factory=dict)
    """Readable runs by id."""
    results: dict[str, Result] = field(default_factory=dict)
    """Readable results by id."""
    courses: dict[str, Course] = field(default_factory=dict)
    """How losses fell, by the id of a completed run with a file of steps."""
    jobs: list[JobEnd] = field(default_factory=list)
    """Batch jobs that ended."""
    problems: list[str] = field(default_factory=list)
    """One sentence for each file that is damaged or contradicts another, or that a newer xffl-bench wrote."""

    @cached_property
    def began(self) -> str:
        """Start of the first run that has a result, ISO 8601 in UTC; empty without one."""
        return min((result.started for result in self.results.values()), default="")

    @cached_property
    def breakdown_records(self) -> dict[str, Record]:
        """The rows of `breakdown` by run id, for all tables."""
        return {str(record["run"]): record for record in records(self.breakdown)}


def load(sweep: Path) -> LoadedSweep:
    """Return the sweep in a folder.

    Runs with damaged, contradictory or newer files are named in `problems` and left out.

    Raises:
        ReportError: the folder is not a sweep, or its plan cannot be read.

    """
    plan = _read_plan(sweep)
    loaded = LoadedSweep(plan, pd.DataFrame())
    _read_jobs(sweep, loaded)
    every = list(read_runs(list(_planned(plan, sweep)), plan))
    same = copies(each.found for each in every if each.fault is None)
    maker = RowMaker(tuple(plan.axes))
    rows: dict[Purpose, list[Row]] = {"measure": [], "breakdown": []}
    for found, fault, row in every:
        copied = same.get(found.identity)
        error = fault if copied is None else ReportError(copied)
        rows[found.purpose].append(row if copied is None else row_of(found, error, maker))
        _note(found, error, loaded)
    timed, breakdown = (_frame(rows[purpose], kinds_of_rows(plan, purpose)) for purpose in ("measure", "breakdown"))
    return replace(loaded, frame=timed, breakdown=breakdown)


def with_columns(
    sweep: LoadedSweep, columns: Iterable[Column[Any]], values: Mapping[str, Mapping[str, Scalar]]
) -> LoadedSweep:
    """Return the sweep with further columns in its frame, whose values are given by run id."""
    none: Mapping[str, Scalar] = {}
    rows = [values.get(run, none) for run in sweep.frame["run"]]
    further = {column.name: _series([row.get(column.name) for row in rows], column.kind) for column in columns}
    return replace(sweep, frame=sweep.frame.assign(**further))


def _note(found: Documents, fault: ReportError | None, loaded: LoadedSweep) -> None:
    """Add the documents of a run, or what is wrong with them, to `loaded`."""
    identity, run, result = found.identity, found.run, found.result
    if fault is not None:
        loaded.problems.append(str(fault))
    elif run is not None:
        loaded.runs[identity] = run
        if result is not None:
            loaded.results[identity] = result
            if found.course is not None and result.outcome is Outcome.COMPLETED:
                loaded.courses[identity] = found.course


def _read_jobs(sweep: Path, loaded: LoadedSweep) -> None:
    for path in sorted(sweep.glob("jobs/*/ended.json")):
        try:
            end = read(path, JobEnd)
        except ReportError as damage:
            loaded.problems.append(str(damage))
            continue
        if end is not None:
            loaded.jobs.append(end)


def _read_plan(sweep: Path) -> Plan:
    path = sweep / "plan.json"
    if not path.is_file():
        raise ReportError(f"{path} does not exist: give the folder of a sweep, as created by `xffl-bench run`")
    plan = read(path, Plan)
    if plan is None:
        raise ReportError(f"{path} was removed while the sweep was read: run the report again")
    kinds = {axis: {type(label) for label in labels} for axis, labels in plan.axes.items()}
    for cell in plan.cells:
        missing = [axis for axis in NEEDED_AXES if axis not in cell.labels]
        if missing:
            raise ReportError(f"{path}: cells.labels has no {missing[0]!r}: every cell needs {', '.join(NEEDED_AXES)}")
        for axis, label in cell.labels.items():
            if axis in kinds and type(label) not in kinds[axis]:
                raise ReportError(f"{path}: cells.labels.{axis}: {label!r} is not like a label of this axis")
    for axis in (*plan.compare, "nodes"):
        if axis not in plan.reference:
            raise ReportError(f"{path}: reference has no {axis!r}: it needs {', '.join(plan.compare)} and nodes")
    return plan


def _planned(plan: Plan, sweep: Path) -> Iterator[Documents]:
    """Yield every run, without its documents; a `same` cell has no runs of its own."""
    folders = sweep / "runs"
    for cell in plan.cells:
        if cell.status == "run":
            of_purposes: tuple[tuple[Purpose, list[str]], ...] = (
                ("measure", cell.runs),
                ("breakdown", cell.breakdown_runs),
            )
            for purpose, runs in of_purposes:
                for repeat, identity in enumerate(runs):
                    yield Documents(identity, repeat, cell, RunFolder(folders / identity), purpose)


def typed(rows: Sequence[Mapping[Any, Scalar]], kinds: Mapping[str, Kind]) -> pd.DataFrame:
    """Return a frame with these columns, each of its own type whatever is missing."""
    return _frame([tuple(map(row.get, kinds)) for row in rows], kinds)


def _frame(rows: Sequence[Row], kinds: Mapping[str, Kind]) -> pd.DataFrame:
    """Return the same of rows that have a value for each column."""
    columns: Iterable[Sequence[Scalar]] = zip(*rows, strict=True) if rows else ((),) * len(kinds)
    of_kinds = zip(kinds.items(), columns, strict=True)
    return pd.DataFrame({name: _series(values, kind) for (name, kind), values in of_kinds})


_TYPES: dict[Kind, str] = {"flag": "boolean", "whole": "Int64", "number": "float64", "text": "string"}


def _series(values: Sequence[Scalar], kind: Kind) -> pd.Series:
    if kind == "text":  # of an axis with values of several types
        values = [None if value is None else str(value) for value in values]
    return pd.Series(values, dtype=_TYPES[kind])


def records(frame: pd.DataFrame) -> list[Record]:
    """Return the rows of a frame, with None for missing values."""
    names = list(frame.columns)
    return [dict(zip(names, row, strict=True)) for row in rows_of(frame)]


def rows_of(frame: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    """Return the same as tuples, in the order of the columns."""
    columns = (column.astype(object).where(column.notna(), None).tolist() for _, column in frame.items())
    return zip(*columns, strict=True)
