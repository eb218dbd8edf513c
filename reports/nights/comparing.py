"""Compare two nights, combination by combination."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reports.nights.combinations import Combination, Night, matched
from reports.nights.conditions import Conditions, differing
from reports.nights.document import Change, CompareDocument, Labels, NightFigure
from reports.nights.judging import judged, suspicious
from reports.nights.night_metrics import METRICS, NightMetric, Unit
from reports.nights.ratios import Values, divisible, ratio_of, values_of

COMPLETED = "completed"
"""Metric of a figure that says that a combination's runs complete no longer, or again."""

Band = tuple[float | None, float | None]
"""Smallest and largest ratio minus 1 that is tolerated; None for any."""


@dataclass(frozen=True)
class Side:
    """One side of a comparison of one combination.

    Attributes:
        values: by metric, as `values_of` returns them.
        trained_tokens: of its runs; None if unknown.
        failure: how its runs ended, if all of them failed.

    """

    values: Mapping[str, list[Values]]
    conditions: Conditions
    trained_tokens: str | None = None
    failure: str = ""
    cautions: Sequence[str] = ()

    @classmethod
    def of(cls, combination: Combination) -> Side:
        """Return the side of a night."""
        return cls(
            {metric.key: values_of(metric, combination.runs) for metric in METRICS},
            combination.conditions,
            combination.trained_tokens,
            combination.failure,
            combination.cautions,
        )

    @property
    def has_values(self) -> bool:
        """True if some run completed."""
        return any(self.values.values())


def compare_nights(old: Night, new: Night, tolerances: Mapping[str, float] | None = None) -> CompareDocument:
    """Return what changed from the old night to the new one.

    Args:
        old: the night that is compared with.
        new: the night that is judged.
        tolerances: by metric, relative changes that do not matter, in place of the metrics' own.

    """
    found = matched(old, new)
    given = tolerances or {}
    figures: list[NightFigure] = []
    for labels, before, after in found.pairs:
        bands = {m.key: _symmetric(given.get(m.key, m.tolerance)) for m in METRICS}
        figures += compared(labels, Side.of(before), Side.of(after), bands)
    changed = dict.fromkeys(text for _, one, two in found.pairs for text in software_changes(one, two))
    return document(str(old.folder), new, figures, list(changed), (found.only_old, found.only_new), old.sweep.problems)


def software_changes(old: Combination, new: Combination) -> list[str]:
    """Return the software that differs between the runs of two nights; nothing if a night has none."""
    return differing(old.software, new.software) if old.documents and new.documents else []


def document(
    old: str,
    new: Night,
    figures: Sequence[NightFigure],
    changed: list[str],
    only: tuple[list[Labels], list[Labels]] = ([], []),
    problems: Sequence[str] = (),
) -> CompareDocument:
    """Return the document of figures without verdicts, which are judged together."""
    made = judged(figures)
    return CompareDocument(
        old=old,
        new=str(new.folder),
        counts=dict(Counter(each.verdict for each in made)),
        figures=made,
        only_old=only[0],
        only_new=only[1],
        changed=changed,
        suspects=_distinct(figure.labels for figure in suspicious(made)),
        problems=[*problems, *new.sweep.problems],
    )


def compared(labels: Labels, old: Side, new: Side, bands: Mapping[str, Band]) -> list[NightFigure]:
    """Return the figures of one combination, those of metrics that the old side has."""
    if old.has_values != new.has_values:
        return _of_ends(labels, old, new)
    both = [metric for metric in METRICS if metric.key in bands and old.values.get(metric.key)]
    return [
        _figure(labels, metric, old, new, bands[metric.key])
        if new.values.get(metric.key)
        else NightFigure(
            labels=labels, metric=metric.key, verdict=Change.CANNOT_TELL, reason="not measured in the new night"
        )
        for metric in both
    ]


def _of_ends(labels: Labels, old: Side, new: Side) -> list[NightFigure]:
    """Return a figure for a combination that completes in one of the nights only, or cannot be judged yet."""
    if not new.has_values:
        verdict = Change.REGRESSED if new.failure else Change.CANNOT_TELL
        reason = new.failure or "no run of the new night has completed"
    else:
        verdict = Change.IMPROVED if old.failure else Change.CANNOT_TELL
        reason = f"before, {old.failure}" if old.failure else "no run of the old night has completed"
    return [NightFigure(labels=labels, metric=COMPLETED, verdict=verdict, reason=reason, is_missing=not new.has_values)]


def _figure(labels: Labels, metric: NightMetric, old: Side, new: Side, band: Band) -> NightFigure:
    common: dict[str, Any] = {"labels": labels, "metric": metric.key, "lower": band[0], "upper": band[1]}
    found = divisible(old.values[metric.key], new.values[metric.key])
    if found is not None:
        before, after = found
        common |= {"old": before.mean, "new": after.mean}
        common |= {"unit": after.unit.value, "counts": (len(before.values), len(after.values))}
    differ = differing(old.conditions, new.conditions)
    if metric.key == "loss_validation" and None is not old.trained_tokens != new.trained_tokens:
        differ.append(f"trained_tokens: {old.trained_tokens} -> {new.trained_tokens}")
    if differ:
        return NightFigure(**common, verdict=Change.NOT_COMPARABLE, reason="; ".join(differ))
    if found is None:
        return NightFigure(**common, verdict=Change.CANNOT_TELL, reason="no repeat completed in both nights")
    made = ratio_of(before, after)
    of_one_session = metric.unit is Unit.SESSIONS and after.unit is Unit.RUNS
    return NightFigure(
        **common,
        verdict=Change.CANNOT_TELL,  # until all figures are judged
        ratio=made.estimate.value,
        low=made.estimate.low if made.estimate.is_interval else None,
        high=made.estimate.high if made.estimate.is_interval else None,
        p_value=made.p_value,
        cautions=[*(["one-session"] if of_one_session else []), *sorted({*old.cautions, *new.cautions})],
    )


def _symmetric(tolerance: float) -> Band:
    return -tolerance, tolerance


def _distinct(labels: Iterable[Labels]) -> list[Labels]:
    return list({tuple(each.items()): each for each in labels}.values())
