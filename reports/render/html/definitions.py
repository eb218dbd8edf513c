"""The definitions that the page shows on hover and lists at its end, from the registries that they belong to."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from bench.contract.results.breakdown import Part
from bench.contract.results.outcomes import Caution, Outcome
from reports.cells.metrics import METRICS, Metric
from reports.data.columns.base import Column
from reports.data.columns.measured import MEASURED
from reports.data.columns.origin import ORIGIN
from reports.data.columns.settings import CELL, LAYOUT, PREDICTED, SETTINGS
from reports.data.columns.status import ATTEMPT, DAMAGED, NEWER, NOT_RUN, STATUS
from reports.data.columns.target import TARGET

_COLUMNS: dict[str, Column[Any]] = {
    column.name: column
    for columns in (STATUS, ATTEMPT, CELL, LAYOUT, SETTINGS, PREDICTED, MEASURED, TARGET, ORIGIN)
    for column in columns
}
_FURTHER_OUTCOMES = {
    NOT_RUN: "no result yet",
    DAMAGED: "its files cannot be read, or contradict each other",
    NEWER: "a newer xffl-bench wrote its files",
    "impossible": "the combination cannot exist; the reason says why",
}


@dataclass(frozen=True)
class Definition:
    """One term; its text has code between backticks."""

    kind: Literal["metric", "caution", "outcome", "part", "column"]
    name: str
    title: str
    text: str


def definitions(columns: Collection[str]) -> list[Definition]:
    """Return the definitions of these columns, and of all that is no column."""
    return [
        *map(_of_metric, METRICS),
        *_without_titles("caution", {each: f"{each.meaning}; {each.remedy}" for each in Caution}),
        *_without_titles("outcome", {each: each.meaning for each in Outcome} | _FURTHER_OUTCOMES),
        *_without_titles("part", {each: each.meaning for each in Part}),
        *_without_titles("column", {name: each.meaning for name, each in _COLUMNS.items() if name in columns}),
    ]


def _of_metric(metric: Metric) -> Definition:
    title = metric.title.format(reference="the reference", row="the reference row")
    source = _COLUMNS[metric.column].meaning
    return Definition("metric", metric.key, title, f"{metric.meaning}. `{metric.column}`: {source}")


def _without_titles(
    kind: Literal["caution", "outcome", "part", "column"], texts: dict[Any, str]
) -> Iterator[Definition]:
    return (Definition(kind, str(name), str(name), text) for name, text in texts.items())
