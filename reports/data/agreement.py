"""Whether the documents of a run agree: a mistaken copy or a half-synchronised folder does not.

run.json is checked against plan.json, and result.json against run.json; `reports.data.steps` checks it against
steps.parquet.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from bench.contract.base import Purpose
from bench.contract.plan import Cell
from bench.contract.results.measured import Measured
from bench.contract.results.result import Result
from bench.contract.run import Run
from bench.contract.storage.files import RunFolder
from reports.data.curves import Course
from reports.data.plausible import implausible


@dataclass(frozen=True)
class Documents:
    """The documents of one planned run, as far as they could be read."""

    identity: str
    repeat: int
    cell: Cell
    folder: RunFolder
    purpose: Purpose = "measure"
    run: Run | None = None
    result: Result | None = None
    course: Course | None = None


def disagreement(sweep: str, found: Documents) -> str | None:
    """Return what is wrong first, with the file: `runs/a/run.json: repeat: should be 0, not 1`; None if all agree."""
    return next(_disagreements(sweep, found), None)


def copies(every: Iterable[Documents]) -> dict[str, str]:
    """Return what is wrong with results that are one measurement in several folders, by run id.

    Two measurements do not start in the same second and take the same time to the last of about 16 digits.
    """
    places = defaultdict[tuple[str, float], list[Documents]](list)
    for found in every:
        if found.result is not None and found.result.measured is not None:
            places[found.result.started, found.result.measured.window.seconds].append(found)
    return {
        found.identity: f"{found.folder.result}: the same measurement as in {_others(found, same)}: run both again"
        for same in places.values()
        if len(same) > 1
        for found in same
    }


def _others(found: Documents, same: list[Documents]) -> str:
    return ", ".join(str(other.folder.result) for other in same if other is not found)


def _disagreements(sweep: str, found: Documents) -> Iterator[str]:
    run, result = found.run, found.result
    if run is None:
        return
    yield from _of_plan(sweep, found, run)
    if result is None:
        return
    if result.run != run.id:
        yield f"{found.folder.result}: run: should be {run.id!r}, not {result.run!r}"
    if result.measured is not None:
        wrong = chain(_of_run(run, result.measured), implausible(run, result, result.measured))
        yield from (f"{found.folder.result}: measured.{sentence}" for sentence in wrong)


def _of_plan(sweep: str, found: Documents, run: Run) -> Iterator[str]:
    """Yield differences between run.json and plan.json. Axes that only one of them has came or went with a resume."""
    labels = {name: label for name, label in found.cell.labels.items() if name in run.labels}
    compared: tuple[tuple[str, object, object], ...] = (
        ("id", found.identity, run.id),
        ("sweep", sweep, run.sweep),
        ("repeat", found.repeat, run.repeat),
        ("purpose", found.purpose, run.purpose),
        ("labels", labels, {name: run.labels[name] for name in labels}),
        ("layout", str(found.cell.layout), str(run.layout)),
    )
    # Paths are made where there is a fault only: for all runs they take as long as what is compared.
    yield from (f"{found.folder.run}: {fault}" for fault in _unequal(compared))


def _unequal(compared: Iterable[tuple[str, object, object]]) -> Iterator[str]:
    for name, right, value in compared:
        if value != right:
            yield f"{name}: should be {right!r}, not {value!r}"


def _of_run(run: Run, measured: Measured) -> Iterator[str]:
    """Yield differences between result.json and run.json."""
    window = measured.window
    yield from _unequal(
        (
            ("parameters", run.shape.parameters, measured.parameters),
            ("window.first_step", run.first_window_step, window.first_step),
            ("window.steps", run.window_steps, window.steps),
            ("window.block", run.block, window.block),
            ("validations.step", _validated(run), [each.step for each in measured.validations]),
            # As text, since NaN does not equal itself.
            *(("loss.validation", str(last.loss), str(measured.loss.validation)) for last in measured.validations[-1:]),
        ),
    )


def _validated(run: Run) -> list[int]:
    """Return the steps that are done at each validation, that at the end included."""
    if not run.training.validate_every:
        return []
    return [*(step + 1 for step in run.validated_steps), run.training.steps]
