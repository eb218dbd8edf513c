"""The comparison of two nights as a document: what `xffl-bench compare --json` prints."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from bench.contract.base import AxisValue, Document

Labels = dict[str, AxisValue]


class Change(StrEnum):
    """What may be said of a figure between two nights."""

    REGRESSED = "regressed"
    IMPROVED = "improved"
    SAME = "same"
    CANNOT_TELL = "cannot-tell"
    NOT_COMPARABLE = "not-comparable"


class NightFigure(Document):
    """One metric of one combination in both nights."""

    labels: Labels = Field(description="the combination: every axis that both sweeps have, with its value's name")
    metric: str = Field(
        description="column of runs.csv; `completed` for a combination whose runs completed in one of the nights only"
    )
    verdict: Change = Field(
        description="regressed, improved, same, cannot-tell, or not-comparable: see docs/guides/nights.md"
    )
    reason: str = Field("", description="why it is not comparable or cannot be told, empty otherwise")
    old: float | None = Field(
        None,
        description="geometric mean of the old night's `unit`; of seeds only those that completed in both nights, "
        "null if none did; a golden value written by hand as it is",
    )
    new: float | None = Field(None, description="the same of the new night")
    ratio: float | None = Field(None, description="`new` over `old`, null if they are not comparable")
    low: float | None = Field(None, description="lower end of the ratio's 95 % interval, null without an interval")
    high: float | None = Field(None, description="its upper end")
    p_value: float | None = Field(None, description="two-sided, of the ratio being 1; null without an interval")
    adjusted_p: float | None = Field(
        None,
        description="the same adjusted for all figures of this comparison, by Benjamini and Hochberg; within the "
        "tolerance, where no verdict is possible, it counts as 1",
    )
    unit: Literal["sessions", "runs", "seeds"] | None = Field(
        None, description="what the means and the interval are over: sessions, runs, or pairs of runs with one seed"
    )
    counts: tuple[int, int] = Field(
        (0, 0), description="how many of these `old` and `new` are the means of; 0 for a golden value written by hand"
    )
    lower: float | None = Field(None, description="smallest ratio minus 1 that is tolerated, null for any")
    upper: float | None = Field(None, description="largest ratio minus 1 that is tolerated, null for any")
    is_missing: bool = Field(False, description="whether the new night lacks it, and runs of it may be made again")
    cautions: list[str] = Field(
        default_factory=list,
        description="`one-session` if the interval is over runs of fewer than 3 sessions, so that it leaves out how "
        "sessions differ; and the cautions recorded with the runs",
    )


class CompareDocument(Document):
    """Two nights compared, as `compare --json` prints it."""

    version: Literal[1] = Field(1, description="version of this document")
    old: str = Field(description="folder of the old sweep, or the file of golden values")
    new: str = Field(description="folder of the new sweep")
    counts: dict[Change, int] = Field(description="number of figures by verdict")
    figures: list[NightFigure] = Field(description="every metric of every combination that both have")
    only_old: list[Labels] = Field(description="combinations of which only the old night has begun a run")
    only_new: list[Labels] = Field(description="combinations of which only the new night has begun a run")
    changed: list[str] = Field(
        description="software that differs, with the old and the new version: what may explain a change"
    )
    suspects: list[Labels] = Field(
        description="combinations with a figure that regressed, or that may have: `run --only-suspects` runs them again"
    )
    problems: list[str] = Field(description="files that could not be read, a sentence each")

    def has_failed(self, *, on_improvement: bool = False) -> bool:
        """Return True if something regressed, or improved if that counts too: golden values are then out of date."""
        return bool(self.having(Change.REGRESSED) or (on_improvement and self.having(Change.IMPROVED)))

    @property
    def compares(self) -> bool:
        """True if some figure has a ratio, or a combination completes no longer or again."""
        told = (Change.REGRESSED, Change.IMPROVED)
        return any(figure.ratio is not None or figure.verdict in told for figure in self.figures)

    @property
    def why_not(self) -> str:
        """Why nothing is compared."""
        return self.figures[0].reason if self.figures else "no combination in common of which a run has completed"

    def having(self, verdict: Change) -> list[NightFigure]:
        """Return the figures with a verdict."""
        return [figure for figure in self.figures if figure.verdict is verdict]
