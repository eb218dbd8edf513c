"""What each night measured: the values of every combination, and what it was measured under."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from reports.nights.combinations import Combination, Night
from reports.nights.conditions import Conditions
from reports.nights.document import Labels
from reports.nights.night_metrics import METRICS, Unit
from reports.nights.ratios import values_of

TRAINED_TOKENS = "trained_tokens"


@dataclass(frozen=True)
class Level:
    """A combination in one night.

    Attributes:
        values: of each metric by repeat, if the repeat matters, or the mean under 0.

    """

    labels: Labels
    values: Mapping[str, Mapping[int, float]]
    conditions: Conditions
    software: Conditions


@dataclass(frozen=True)
class MeasuredNight:
    """A night without its runs: a history has many nights, and their runs would not fit in memory."""

    folder: Path
    began: str
    axes: list[str]
    levels: list[Level]
    problems: list[str]


class Reader:
    """Reads nights; what is the same in many of them is kept once."""

    def __init__(self) -> None:
        self._kept: dict[tuple[tuple[str, str], ...], Conditions] = {}

    def read(self, folder: Path) -> MeasuredNight:
        """Return what a night measured. Raises ReportError as `Night.of`."""
        night = Night.of(folder)
        levels = [self._level(each) for each in night.combinations if each.is_run and each.documents]
        return MeasuredNight(folder, night.sweep.began, list(night.sweep.plan.axes), levels, night.sweep.problems)

    def _level(self, combination: Combination) -> Level:
        conditions = combination.conditions | {TRAINED_TOKENS: combination.trained_tokens}
        found: dict[str, Mapping[int, float]] = {}
        for metric in METRICS:
            if values := values_of(metric, combination.runs):
                found[metric.key] = values[0].values if metric.unit is Unit.SEEDS else {0: values[0].mean}
        return Level(combination.labels, found, self._one(conditions), self._one(combination.software))

    def _one(self, conditions: Conditions) -> Conditions:
        return self._kept.setdefault(tuple(conditions.items()), conditions)


def ordered(nights: Iterable[MeasuredNight]) -> list[MeasuredNight]:
    """Return the nights that measured something, in the order in which they began."""
    return sorted((night for night in nights if night.levels), key=lambda night: (night.began, str(night.folder)))
