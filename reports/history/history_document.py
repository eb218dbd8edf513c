"""Metrics over nights as a document: what `xffl-bench history --json` prints."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bench.contract.base import Document
from reports.nights.document import Change, Labels


class HistoryNight(Document):
    """One night."""

    folder: str = Field(description="folder of the sweep")
    began: str = Field(description="start of its first run, ISO 8601 in UTC")


class Series(Document):
    """One metric of one combination over nights."""

    labels: Labels = Field(description="the combination: every axis that all nights have, with its value's name")
    metric: str = Field(description="column of runs.csv")
    nights: list[int] = Field(description="indices of the nights that measured it, in `nights` of the history")
    values: list[float] = Field(
        description="geometric mean of each of these nights; losses are adjusted for missing repeats, by those of the "
        "nights under the same conditions"
    )
    begins: list[int] = Field(
        description="its first night, and each from which on conditions differ: values before and after such a night "
        "are not comparable"
    )


class LevelChange(Document):
    """A change of a series' level."""

    labels: Labels = Field(description="the combination")
    metric: str = Field(description="column of runs.csv")
    night: int = Field(description="index of the first night of the new level")
    verdict: Literal[Change.REGRESSED, Change.IMPROVED] = Field(description="regressed or improved")
    ratio: float = Field(description="new level over the old one")
    p_value: float = Field(
        description="two-sided, by Student's t-test between the nights of both levels; below `largest_p` of the history"
    )
    counts: tuple[int, int] = Field(description="nights of the old and of the new level")
    causes: list[str] = Field(description="software that changed on that night, with the old and the new version")
    nearby: list[str] = Field(
        description="without any, software that changed on the night before or after: noise may move a change by one"
    )


class Break(Document):
    """A night from which on a combination is not comparable with earlier ones: its series begins anew."""

    labels: Labels = Field(description="the combination")
    night: int = Field(description="index of the first night with other conditions")
    reason: str = Field(description="the settings, or the property of the machine, that differ")


class HistoryDocument(Document):
    """Metrics over nights, as `history --json` prints them."""

    version: Literal[1] = Field(1, description="version of this document")
    nights: list[HistoryNight] = Field(description="nights in the order in which they began")
    series: list[Series] = Field(description="every metric of every combination")
    changes: list[LevelChange] = Field(description="changes of level, by night")
    breaks: list[Break] = Field(description="where conditions changed, by night")
    largest_p: float = Field(description="p-value below which a change is one: 0.01 over all series, at most 0.001")
    problems: list[str] = Field(description="nights, combinations and files that were left out, a sentence each")
