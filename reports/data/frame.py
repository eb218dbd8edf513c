"""A sweep's folder as a tidy pandas DataFrame: one row for every planned run, whatever its outcome."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from pydantic import BaseModel, ValidationError

from bench.contract.base import Purpose
from bench.contract.plan import Plan
from bench.contract.results.outcomes import Outcome
from bench.contract.results.result import JobEnd, Result
from bench.contract.run import Run
from bench.contract.storage.documents import NewerVersionError, read_document
from bench.contract.storage.files import RunFolder
from reports.data.agreement import Documents, copies, disagreement
from reports.data.columns.base import Column, Kind, Row, Scalar
from reports.data.columns.status import DAMAGED, NEWER, Status
from reports.data.curves import Course
from reports.data.rows import RowMaker, kinds_of_rows
from reports.data.shared import Shared
from reports.data.steps import ContradictionError, course

NEEDED_AXES = ("model", "strategy", "nodes", "batch_size")

Record = dict[Hashable, Any]
"""One row of a frame."""

Doc = TypeVar("Doc", bound=BaseModel)


class ReportError(Exception):
    """The report cannot be made; the message names the file and what would be right."""

    outcome = DAMAGED
    """Of a run, where it is one of its files."""


class NewerFileError(ReportError):
    """The same, for a file that a newer xffl-bench wrote."""

    outcome = NEWER


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
    read = LoadedSweep(plan, pd.DataFrame())
    _read_jobs(sweep, read)
    shared = Shared()
    every = [_documents(planned, plan.sweep, shared) for planned in _planned(plan, sweep)]
    same = copies(found for found, fault in every if fault is None)
    maker = RowMaker(tuple(plan.axes))
    rows: dict[Purpose, list[Row]] = {"measure": [], "breakdown": []}
    for found, fault in every:
        error = ReportError(same[found.identity]) if found.identity in same else fault
        status = _status(found, error, read)
        rows[found.purpose].append(maker.row(found if error is None else replace(found, result=None), status))
    timed, breakdown = (_frame(rows[purpose], kinds_of_rows(plan, purpose)) for purpose in ("measure", "breakdown"))
    return replace(read, frame=timed, breakdown=breakdown)


def with_columns(
    sweep: LoadedSweep, columns: Iterable[Column[Any]], values: Mapping[str, Mapping[str, Scalar]]
) -> LoadedSweep:
    """Return the sweep with further columns in its frame, whose values are given by run id."""
    none: Mapping[str, Scalar] = {}
    rows = [values.get(run, none) for run in sweep.frame["run"]]
    further = {column.name: _series([row.get(column.name) for row in rows], column.kind) for column in columns}
    return replace(sweep, frame=sweep.frame.assign(**further))


def _documents(planned: Documents, sweep: str, shared: Shared) -> tuple[Documents, ReportError | None]:
    """Return a planned run with its documents, and what is wrong with them."""
    found, folder = planned, planned.folder
    try:
        if run := _read(folder.run, Run):
            found = replace(found, run=shared.run(run))
        if result := _read(folder.result, Result):
            found = replace(found, result=shared.result(result))
        if found.run is None and found.result is not None:
            raise ReportError(f"{folder.run} is missing, without which its result cannot be read: run the sweep again")
        if fault := disagreement(sweep, found):
            raise ReportError(fault)
        if found.run is not None and found.result is not None and found.result.measured is not None:
            found = replace(found, course=course(folder, found.run, found.result.measured))
    except ContradictionError as error:
        return found, ReportError(str(error))
    except ReportError as error:
        return found, error
    return found, None


def _status(found: Documents, fault: ReportError | None, read: LoadedSweep) -> Status:
    """Return what became of a run, and add its documents, or what is wrong with them, to `read`."""
    identity, run, result = found.identity, found.run, found.result
    status = Status(identity, found.repeat)
    if fault is not None:
        read.problems.append(str(fault))
        return replace(status, outcome=fault.outcome, reason=str(fault))
    if run is not None:
        read.runs[identity] = run
    if run is None or result is None:
        return status
    read.results[identity] = result
    if found.course is not None and result.outcome is Outcome.COMPLETED:
        read.courses[identity] = found.course
    return replace(status, outcome=str(result.outcome), reason=result.reason, cautions=", ".join(result.cautions))


def _read_jobs(sweep: Path, read: LoadedSweep) -> None:
    for path in sorted(sweep.glob("jobs/*/ended.json")):
        try:
            end = _read(path, JobEnd)
        except ReportError as damage:
            read.problems.append(str(damage))
            continue
        if end is not None:
            read.jobs.append(end)


def _read_plan(sweep: Path) -> Plan:
    path = sweep / "plan.json"
    if not path.is_file():
        raise ReportError(f"{path} does not exist: give the folder of a sweep, as created by `xffl-bench run`")
    plan = _read(path, Plan)
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


def _read(path: Path, kind: type[Doc]) -> Doc | None:
    """Return the document, or None where there is no file.

    Raises:
        ReportError: the file exists and cannot be read.

    """
    try:
        return read_document(path, kind)
    except FileNotFoundError:
        return None
    except NewerVersionError as error:
        raise NewerFileError(str(error)) from error
    except OSError as error:
        raise ReportError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ReportError(f"{path}: {where}{': ' if where else ''}{first['msg']}") from error


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
