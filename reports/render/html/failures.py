"""The runs without figures, with why and the evidence that was recorded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import chain

from bench.contract.results.outcomes import Outcome
from reports.cells.grid import axis_text
from reports.data.columns.status import NOT_RUN
from reports.data.frame import LoadedSweep, Record
from reports.render.html.axis_places import AxisPlaces, Places

MOST_EVIDENCE = 300
"""Runs whose evidence the page has; result.json has that of the others."""
MOST_NAMED = 1000
"""Runs that the page names."""
ENDING = ("run", "outcome", "reason")
"""Columns that are read of a run."""
_LONGEST = 3000
"""Characters of one run's evidence that the page has."""
_LAST = (Outcome.OOM_INFERRED, "impossible", NOT_RUN)
"""Outcomes of what was not tried, which come after all others."""


@dataclass(frozen=True)
class Ended:
    """One run without figures, or an impossible combination."""

    name: str
    places: Places
    file: str
    """The file that names it, and all others of its kind."""
    evidence: str = ""


@dataclass
class Failure:
    """Runs with the same outcome and reason; `runs` are those that the page names."""

    outcome: str
    reason: str
    count: int = 0
    files: list[str] = field(default_factory=list)
    """Those that name all of its runs."""
    runs: list[Ended] = field(default_factory=list)


def failures(sweep: LoadedSweep, records: list[Record], places: AxisPlaces) -> tuple[list[Failure], list[str]]:
    """Return the failed runs, then what was not tried, and a sentence on evidence that is left out."""
    groups: dict[tuple[str, str], Failure] = {}
    with_evidence = 0
    every = chain(_runs(sweep, records, places), _impossible(sweep, places))
    for number, (outcome, reason, ended) in enumerate(every):
        group = groups.setdefault((outcome, reason), Failure(outcome, reason))
        group.count += 1
        group.files += [ended.file] if ended.file not in group.files else []
        with_evidence += bool(ended.evidence)
        if number < MOST_NAMED:
            group.runs.append(ended if with_evidence <= MOST_EVIDENCE else replace(ended, evidence=""))
    left_out = [
        f"report.html has the evidence of {MOST_EVIDENCE} of {with_evidence} failed runs; result.json has that of each"
    ]
    ordered = sorted(groups.values(), key=lambda group: _LAST.index(group.outcome) if group.outcome in _LAST else -1)
    return ordered, left_out if with_evidence > MOST_EVIDENCE else []


def _runs(sweep: LoadedSweep, records: list[Record], places: AxisPlaces) -> Iterator[tuple[str, str, Ended]]:
    for record in records:
        run = str(record["run"])
        if record["outcome"] != Outcome.COMPLETED:
            result = sweep.results.get(run)
            evidence = _cut("\n".join(result.evidence)) if result else ""
            file = "breakdown.csv" if run in sweep.breakdown_records else "runs.csv"
            ended = Ended(run, places.of_run(run), file, evidence)
            yield str(record["outcome"]), str(record["reason"] or ""), ended


def _impossible(sweep: LoadedSweep, places: AxisPlaces) -> Iterator[tuple[str, str, Ended]]:
    for cell in sweep.plan.cells:
        if cell.status == "impossible":
            name = ", ".join(axis_text(axis, label) for axis, label in cell.labels.items() if axis in places.axes)
            ended = Ended(name or "the only combination", places.of(cell.labels), "plan.json")
            yield "impossible", cell.reason, ended


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}\n... ({len(text) - _LONGEST} more characters)"
