"""Which values of the axes things have: what the page filters by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from bench.contract.base import AxisValue
from bench.contract.plan import Plan

Places = dict[str, int]
"""By axis, the place of a value among those of the plan."""


@dataclass(frozen=True)
class AxisPlaces:
    """The axes of a plan that have several values."""

    plan: Plan

    @cached_property
    def axes(self) -> dict[str, list[AxisValue]]:
        """Values by axis."""
        return {axis: values for axis, values in self.plan.axes.items() if len(values) > 1}

    @cached_property
    def _places(self) -> dict[str, dict[AxisValue, int]]:
        return {axis: {value: place for place, value in enumerate(values)} for axis, values in self.axes.items()}

    @cached_property
    def _cells(self) -> dict[str, Mapping[str, AxisValue]]:
        """Labels by run; where a selection leaves out a run's own cell, those of one that equals it."""
        own_first = sorted(self.plan.cells, key=lambda cell: cell.status != "run")
        found: dict[str, Mapping[str, AxisValue]] = {}
        for cell in own_first:
            for run in cell.all_runs:
                found.setdefault(run, cell.labels)
        return found

    def of(self, labels: Mapping[str, AxisValue | None]) -> Places:
        """Return the places of these labels; axes with one value are left out."""
        return {
            axis: places[label]
            for axis, label in labels.items()
            if label is not None and (places := self._places.get(axis)) and label in places
        }

    def of_run(self, run: str) -> Places:
        """Return those of a planned run."""
        return self.of(self._cells[run])
