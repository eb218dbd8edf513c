"""The combinations of a sweep with their runs, and those that two sweeps have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol, TypeVar

from bench.contract.base import AxisValue
from bench.contract.results.measured import Measured
from bench.contract.results.outcomes import Outcome
from bench.contract.run import Run
from reports.cells.grid import CellRuns, axis_text
from reports.data.frame import LoadedSweep, load, records
from reports.nights.conditions import Conditions, conditions, software
from reports.nights.document import Labels

Key = tuple[tuple[str, AxisValue], ...]


class Labelled(Protocol):
    """What has the labels of a combination."""

    @property
    def labels(self) -> Labels:
        """Every axis with its value's name."""


LabelledT = TypeVar("LabelledT", bound=Labelled)


@dataclass(frozen=True)
class Combination:
    """A combination of a sweep with its timed runs."""

    labels: Labels
    runs: CellRuns
    documents: list[tuple[Run, Measured]]
    """Of the runs that completed."""
    max_batch: bool

    @cached_property
    def conditions(self) -> Conditions:
        """What must agree between nights."""
        return conditions(self.documents, max_batch=self.max_batch)

    @cached_property
    def software(self) -> Conditions:
        """What the runs were made with."""
        return software(self.documents)

    @property
    def trained_tokens(self) -> str:
        """Trained tokens of its completed runs, each number once."""
        return ", ".join(map(str, sorted({measured.trained_tokens for _, measured in self.documents})))

    @property
    def is_run(self) -> bool:
        """True if it has runs of its own."""
        return self.runs.planned.status == "run"

    @property
    def cautions(self) -> list[str]:
        """Cautions recorded with the runs that completed."""
        every = ", ".join(str(record["cautions"] or "") for record in self.runs.completed)
        return sorted({caution for caution in every.split(", ") if caution})

    @property
    def failure(self) -> str:
        """How its runs ended if all of them failed for good, such as `oom: CUDA out of memory`; else empty."""
        ends = [record for record in self.runs.records if record["outcome"] in _FAILURES]
        if not ends or len(ends) < len(self.runs.records):
            return ""
        return f"{ends[0]['outcome']}: {ends[0]['reason']}"


_FAILURES = frozenset(str(outcome) for outcome in Outcome if outcome.is_final and outcome is not Outcome.COMPLETED)


@dataclass(frozen=True)
class Night:
    """A sweep as one night among others."""

    folder: Path
    sweep: LoadedSweep

    @classmethod
    def of(cls, folder: Path) -> Night:
        """Read a night.

        Raises:
            ReportError: the folder is not a sweep, or its plan cannot be read.

        """
        return cls(folder, load(folder))

    @cached_property
    def combinations(self) -> list[Combination]:
        """All that have runs of their own or show another's, of which one has begun: filters leave combinations out."""
        by_id = {record["run"]: record for record in records(self.sweep.frame)}
        of_max = self.sweep.plan.regime == "max-batch"
        return [
            Combination(cell.labels, runs, self._documents(runs), of_max)
            for cell in self.sweep.plan.cells
            if cell.status != "impossible" and any(run in self.sweep.runs for run in cell.runs)
            if (runs := CellRuns(cell, [by_id[run] for run in cell.runs if run in by_id]))
        ]

    def _documents(self, runs: CellRuns) -> list[tuple[Run, Measured]]:
        found = ((self.sweep.runs[run], self.sweep.results[run].measured) for run in (r["run"] for r in runs.completed))
        return [(run, measured) for run, measured in found if measured is not None]


def by_axes(combinations: Iterable[LabelledT], axes: Iterable[str]) -> dict[Key, LabelledT]:
    """Return combinations by their labels on some axes; without those that differ on other axes only."""
    wanted = tuple(axes)
    found: dict[Key, list[LabelledT]] = {}
    for each in combinations:
        found.setdefault(tuple((axis, each.labels[axis]) for axis in wanted), []).append(each)
    return {key: several[0] for key, several in found.items() if len(several) == 1}


@dataclass(frozen=True)
class Matched:
    """The combinations that two nights have in common, and those with runs that only one has."""

    pairs: list[tuple[Labels, Combination, Combination]]
    """Labels, the old one, the new one."""
    only_old: list[Labels]
    only_new: list[Labels]


def matched(old: Night, new: Night) -> Matched:
    """Match two nights by their labels on the axes that both have.

    An axis that only one of them has must have one value there. A combination that shows another's runs in both nights
    (hsdp that is fsdp) is that one's business.
    """
    axes = [axis for axis in new.sweep.plan.axes if axis in old.sweep.plan.axes]
    before, after = by_axes(old.combinations, axes), by_axes(new.combinations, axes)
    pairs = [
        (dict(key), before[key], combination)
        for key, combination in after.items()
        if key in before and (combination.is_run or before[key].is_run)
    ]
    matched_ones = {id(each) for _, *both in pairs for each in both}
    alone = (
        [each.labels for each in night.combinations if each.is_run and id(each) not in matched_ones]
        for night in (old, new)
    )
    return Matched(pairs, *alone)


def short_name(labels: Labels, axes: Mapping[str, list[AxisValue]]) -> str:
    """Return a combination's name for people: the axes that have several values, strategy and nodes in any case."""
    kept = [axis for axis in labels if axis in ("strategy", "nodes") or len(axes.get(axis, ())) > 1]
    return ", ".join(axis_text(axis, labels[axis]) for axis in kept)
