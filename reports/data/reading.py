"""The documents of runs: read, checked against each other and made into rows, those of many runs by processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from bench.contract.plan import Plan
from bench.contract.results.result import Result
from bench.contract.run import Run
from bench.contract.storage.documents import NewerVersionError, read_document
from reports.data.agreement import Documents, disagreement
from reports.data.apart import begun
from reports.data.columns.base import Row
from reports.data.columns.status import Status
from reports.data.curves import Course
from reports.data.faults import NewerFileError, ReportError
from reports.data.rows import RowMaker
from reports.data.shared import Shared
from reports.data.steps import ContradictionError, course

FEWEST_APART = 1_000
"""Runs from which on several processes read them; fewer are read before these would have begun."""
_AT_ONCE = 100
"""Runs that a process sends back together."""

Doc = TypeVar("Doc", bound=BaseModel)


class ReadRun(NamedTuple):
    """A planned run: its documents as far as they can be read, what is wrong with them, and its row."""

    found: Documents
    fault: ReportError | None
    row: Row


def read_runs(planned: Sequence[Documents], plan: Plan) -> Iterator[ReadRun]:
    """Yield planned runs, given without documents, with what their folders hold; documents share equal parts."""
    reader = _Reader(planned, plan.sweep, RowMaker(tuple(plan.axes)), Shared())
    shared, fewest = reader.shared, FEWEST_APART // _AT_ONCE
    with begun(reader.sent, range(0, len(planned), _AT_ONCE), fewest=fewest) as parts:
        for each, (run, result, course_, fault, row) in zip(planned, chain.from_iterable(parts), strict=True):
            found = replace(each, run=run and shared.run(run), result=result and shared.result(result), course=course_)
            yield ReadRun(found, fault, row)


def row_of(found: Documents, fault: ReportError | None, maker: RowMaker) -> Row:
    """Return a run's row; with a fault it has nothing of the result."""
    status, result = Status(found.identity, found.repeat), found.result
    if fault is not None:
        status = replace(status, outcome=fault.outcome, reason=str(fault))
        return maker.row(replace(found, result=None), status)
    if found.run is not None and result is not None:
        cautions = ", ".join(result.cautions)
        status = replace(status, outcome=str(result.outcome), reason=result.reason, cautions=cautions)
    return maker.row(found, status)


def read(path: Path, kind: type[Doc]) -> Doc | None:
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


_Sent = tuple[Run | None, Result | None, Course | None, ReportError | None, Row]
"""What a process sends back of a run: the rest is where it was planned."""


@dataclass(frozen=True)
class _Reader:
    planned: Sequence[Documents]
    sweep: str
    maker: RowMaker
    shared: Shared

    def sent(self, first: int) -> list[_Sent]:
        """Return what is sent back of some runs from a place on."""
        every = map(self._documents, self.planned[first : first + _AT_ONCE])
        return [
            (found.run, found.result, found.course, fault, row_of(found, fault, self.maker)) for found, fault in every
        ]

    def _documents(self, planned: Documents) -> tuple[Documents, ReportError | None]:
        """Return a planned run with its documents, and what is wrong with them."""
        found, folder = planned, planned.folder
        try:
            if run := read(folder.run, Run):
                found = replace(found, run=self.shared.run(run))
            if result := read(folder.result, Result):
                found = replace(found, result=self.shared.result(result))
            if found.run is None and found.result is not None:
                raise ReportError(
                    f"{folder.run} is missing, without which its result cannot be read: run the sweep again"
                )
            if fault := disagreement(self.sweep, found):
                raise ReportError(fault)
            if found.run is not None and found.result is not None and found.result.measured is not None:
                found = replace(found, course=course(folder, found.run, found.result.measured))
        except ContradictionError as error:
            return found, ReportError(str(error))
        except ReportError as error:
            return found, error
        return found, None
