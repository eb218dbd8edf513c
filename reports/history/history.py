"""Every metric over nights, where its level changed, and what else changed there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from reports.data.words import counted
from reports.history.course import Course
from reports.history.history_document import HistoryDocument, HistoryNight
from reports.history.levels import Level, MeasuredNight, Reader, ordered
from reports.nights.combinations import Key, by_axes
from reports.nights.night_metrics import METRICS

_FALSE_ALARMS = 0.01
_LARGEST_P = 0.001
"""The p-value of a change is below the first over the number of series, and below the second: chosen by simulations of
nights that are looked at every morning (docs/guides/nights.md)."""


def history(folders: Sequence[Path], tolerances: Mapping[str, float] | None = None) -> HistoryDocument:
    """Return the history of sweeps of one matrix, given in any order; tolerances are as in `history_of`.

    Raises:
        ReportError: a folder is not a sweep, or its plan cannot be read.

    """
    reader = Reader()
    read = [reader.read(folder) for folder in dict.fromkeys(folders)]
    problems = [f"{night.folder}: left out: no run of it has completed" for night in read if not night.levels]
    problems += [problem for night in read for problem in night.problems]
    found = history_of(ordered(read), tolerances)
    return found.model_copy(update={"problems": problems + found.problems})


def history_of(nights: Sequence[MeasuredNight], tolerances: Mapping[str, float] | None = None) -> HistoryDocument:
    """Return the history of nights in their order.

    Args:
        nights: what they measured.
        tolerances: by metric, relative changes that do not matter, in place of the metrics' own.

    """
    axes = [axis for axis in nights[0].axes if all(axis in night.axes for night in nights)] if nights else []
    by_night = [by_axes(night.levels, axes) for night in nights]
    courses = list(_courses(by_night))
    series = [made for course in courses for metric in METRICS if (made := course.series(metric)) is not None]
    largest_p = min(_LARGEST_P, _FALSE_ALARMS / len(series)) if series else _LARGEST_P
    given = tolerances or {}
    changes = [
        change
        for course in courses
        for metric in METRICS
        for change in course.changes(metric, largest_p, given.get(metric.key, metric.tolerance))
    ]
    return HistoryDocument(
        nights=[HistoryNight(folder=str(night.folder), began=night.began) for night in nights],
        series=series,
        changes=sorted(changes, key=lambda change: change.night),
        breaks=sorted((each for course in courses for each in course.breaks), key=lambda each: each.night),
        largest_p=largest_p,
        problems=[
            f"{night.folder}: {counted(left_out, 'combination')} left out: they differ only in axes that not every "
            f"night has ({', '.join(axis for axis in night.axes if axis not in axes)})"
            for night, levels in zip(nights, by_night, strict=True)
            if (left_out := len(night.levels) - len(levels))
        ],
    )


def _courses(nights: Sequence[Mapping[Key, Level]]) -> Iterator[Course]:
    """Yield the combinations of all nights."""
    found: dict[Key, dict[int, Level]] = {}
    for index, levels_of_night in enumerate(nights):
        for key, level in levels_of_night.items():
            found.setdefault(key, {})[index] = level
    for key, levels in found.items():
        yield Course(dict(key), levels)
