"""A history as text that fits on one screen: each change with what else changed there."""

from __future__ import annotations

from collections.abc import Iterator

from bench.contract.base import AxisValue
from reports.data.words import counted, first_few
from reports.history.history_document import Break, HistoryDocument, LevelChange
from reports.nights.combinations import short_name
from reports.nights.night_metrics import METRIC_BY_KEY
from reports.nights.summary import MOST_LINES, axes_of
from reports.stats.change_points import FEWEST

_NAMED = 4
"""Combinations of one change that are named."""


def summary(found: HistoryDocument) -> list[str]:
    """Return the history in lines: one for what changed in one metric on one night, and the causes below."""
    axes = axes_of(series.labels for series in found.series)
    combinations = {tuple(series.labels.items()) for series in found.series}
    too_few = f"; one takes {FEWEST} nights on each side" if len(found.nights) < 2 * FEWEST else ""
    lines = [
        f"{counted(len(found.nights), 'night')}, {counted(len(combinations), 'combination')}, "
        f"{len(found.series)} series: {counted(len(found.changes), 'change')} of level "
        f"(p < {found.largest_p:.1e}{too_few})"
    ]
    lines += _limited([line for night in _nights(found) for line in _of_night(found, night, axes)], "changes")
    lines += _limited(list(_of_breaks(found, axes)), "breaks")
    return lines + found.problems


def _nights(found: HistoryDocument) -> list[int]:
    return list(dict.fromkeys(change.night for change in found.changes))


def _of_night(found: HistoryDocument, night: int, axes: dict[str, list[AxisValue]]) -> Iterator[str]:
    by_kind: dict[tuple[str, str], list[LevelChange]] = {}
    changes = [change for change in found.changes if change.night == night]
    for change in changes:
        by_kind.setdefault((change.verdict.value, change.metric), []).append(change)
    place = found.nights[night]
    for (verdict, metric), several in by_kind.items():
        named = first_few([f"{short_name(each.labels, axes)} x {each.ratio:.3f}" for each in several], _NAMED)
        yield f"  {place.began[:10]} ({place.folder}): {METRIC_BY_KEY[metric].title} {verdict}: {named}"
    causes = dict.fromkeys(text for change in changes for text in change.causes)
    nearby = dict.fromkeys(text for change in changes for text in change.nearby)
    if causes:
        yield f"    changed there: {'; '.join(causes)}"
    elif nearby:
        yield f"    no software changed there, but a night before or after: {'; '.join(nearby)}"
    else:
        yield "    no recorded software changed there: look at hosts, cooling and other work"


def _of_breaks(found: HistoryDocument, axes: dict[str, list[AxisValue]]) -> Iterator[str]:
    by_reason: dict[tuple[int, str], list[Break]] = {}
    for each in found.breaks:
        by_reason.setdefault((each.night, each.reason), []).append(each)
    for (night, reason), several in by_reason.items():
        named = first_few([short_name(each.labels, axes) for each in several], _NAMED)
        yield f"  {found.nights[night].began[:10]}: not comparable with earlier nights: {named}: {reason}"


def _limited(lines: list[str], what: str) -> list[str]:
    most = 2 * MOST_LINES
    return [*lines[:most], f"  more {what}, which --json lists"] if len(lines) > most else lines
