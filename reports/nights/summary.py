"""The comparison of two nights as text that fits on one screen, or in a mail."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bench.contract.base import AxisValue
from bench.contract.results.outcomes import Bearing, Caution
from reports.data.words import counted
from reports.nights.combinations import short_name
from reports.nights.document import Change, CompareDocument, Labels, NightFigure
from reports.nights.judging import tolerates
from reports.nights.night_metrics import METRIC_BY_KEY

SPEED = "tokens_per_s"
MOST_LINES = 12
"""Figures, or reasons, of one verdict that are listed."""

_ORDER = (Change.REGRESSED, Change.IMPROVED, Change.CANNOT_TELL, Change.NOT_COMPARABLE, Change.SAME)


def summary(found: CompareDocument) -> list[str]:
    """Return the comparison in lines: counts first, then what regressed, and at last what to do."""
    axes = axes_of([*(figure.labels for figure in found.figures), *found.only_old, *found.only_new])
    counts = ", ".join(f"{found.counts[change]} {change.value}" for change in _ORDER if found.counts.get(change))
    of = f" (of {counted(len(found.figures), 'figure')})" if counts else ""
    lines = [f"{found.new} compared with {found.old}: {counts or 'nothing in common'}{of}"]
    for change in (Change.REGRESSED, Change.IMPROVED):
        lines += _listed([_line(figure, axes) for figure in found.having(change)])
    unsure = found.having(Change.CANNOT_TELL)
    open_ones = [figure for figure in unsure if figure.adjusted_p is None or not tolerates(figure, figure.ratio or 1.0)]
    lines += _listed([_line(figure, axes) for figure in open_ones])
    if within := len(unsure) - len(open_ones):
        lines.append(f"  cannot-tell: {within} within the tolerance, whose interval reaches beyond it")
    lines += _listed(list(_incomparable(found.having(Change.NOT_COMPARABLE), axes)))
    for title, labels in ((f"only in {found.old}", found.only_old), (f"only in {found.new}", found.only_new)):
        if labels:
            lines.append(f"{title}: {'; '.join(_listed([short_name(each, axes) for each in labels]))}")
    if found.changed:
        lines.append(f"software that changed: {'; '.join(found.changed)}")
    if any("one-session" in figure.cautions for figure in found.figures):
        lines.append(
            "one-session: intervals are over runs of fewer than 3 sessions, so they leave out how sessions differ: "
            "a verdict may be that of a slow node"
        )
    lines += found.problems
    if found.suspects:
        names = "; ".join(_listed([short_name(each, axes) for each in found.suspects]))
        lines.append(
            f"{counted(len(found.suspects), 'combination')} to run again ({names}): save this with --json > FILE, then "
            "xffl-bench run MATRIX --only-suspects FILE --results results/again"
        )
    return lines


def axes_of(labels: Iterable[Labels]) -> dict[str, list[AxisValue]]:
    """Return the values of each axis that occur."""
    found: dict[str, dict[AxisValue, None]] = {}
    for each in labels:
        for axis, value in each.items():
            found.setdefault(axis, {})[value] = None
    return {axis: list(values) for axis, values in found.items()}


def ratio_text(figure: NightFigure) -> str:
    """Return `0.949 [0.931, 0.967]`, or the bare ratio without an interval; empty without a ratio."""
    if figure.ratio is None:
        return ""
    interval = "" if figure.low is None or figure.high is None else f" [{figure.low:.3f}, {figure.high:.3f}]"
    return f"{figure.ratio:.3f}{interval}"


def _line(figure: NightFigure, axes: dict[str, list[AxisValue]]) -> str:
    metric = METRIC_BY_KEY.get(figure.metric)
    what = metric.title if metric else figure.metric
    changeable = [caution for caution in Caution if caution.speed is Bearing.CHANGEABLE]
    cautions = ", ".join(caution for caution in changeable if caution in figure.cautions and figure.metric == SPEED)
    parts = [f"{what} x {ratio_text(figure)}" if figure.ratio else what, figure.reason, cautions]
    parts = [part for part in parts if part]
    return f"  {figure.verdict.value}: {short_name(figure.labels, axes)}: {'; '.join(parts)}"


def _incomparable(figures: Iterable[NightFigure], axes: dict[str, list[AxisValue]]) -> Iterator[str]:
    """Yield each reason once, with the combinations."""
    by_reason: dict[str, dict[str, None]] = {}
    for figure in figures:
        by_reason.setdefault(figure.reason, {})[short_name(figure.labels, axes)] = None
    for reason, names in by_reason.items():
        yield f"  not-comparable: {'; '.join(_listed(list(names)))}: {reason}"


def _listed(lines: list[str]) -> list[str]:
    more = len(lines) - MOST_LINES
    return [*lines[:MOST_LINES], f"  {more} more, which --json lists"] if more > 0 else lines
