"""A metric of one combination between two nights: the ratio, and what it is an interval over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reports.cells.grid import CellRuns
from reports.nights.night_metrics import NightMetric, Unit
from reports.stats.comparison import Comparison, Sample, by_session, ratio, ratio_by_seeds
from reports.stats.intervals import FEWEST_FOR_INTERVAL, geometric_mean


@dataclass(frozen=True)
class Values:
    """A metric's values of a combination in one night, each independent of the others.

    Attributes:
        values: means of sessions, numbered, or values of runs by repeat.
        exact: a golden value that was written by hand, which has no noise, in place of values.

    """

    values: Mapping[int, float]
    unit: Unit
    exact: float | None = None

    @property
    def mean(self) -> float:
        """Geometric mean."""
        if self.exact is not None:
            return self.exact
        found = geometric_mean(list(self.values.values()))
        assert found is not None, "there are values"
        return found.value

    def samples(self, night: str) -> list[Sample]:
        """Return each value as that of a session of its own: runs of two nights share none."""
        return [Sample(value, f"{night} {number}", number) for number, value in self.values.items()]


@dataclass(frozen=True)
class Ratio:
    """The new values over the old ones, which it has an interval of from 3 of both on.

    Attributes:
        unit: what its interval is over.
        counts: units of the old and the new side.
        of_one_session: True if runs stand for sessions, of which there were too few.

    """

    comparison: Comparison
    unit: Unit
    counts: tuple[int, int]
    of_one_session: bool


def values_of(metric: NightMetric, runs: CellRuns) -> list[Values]:
    """Return the values of a night, by sessions first if there are enough of them, then by runs; none without any."""
    samples = [sample for sample in runs.samples(metric.key) if sample.value > 0]
    if not samples:
        return []
    of_runs = {sample.repeat: sample.value for sample in samples}
    if metric.unit is not Unit.SESSIONS:
        return [Values(of_runs, metric.unit)]
    sessions = by_session(samples)
    by_run = Values(of_runs, Unit.RUNS)
    if len(sessions) < FEWEST_FOR_INTERVAL:
        return [by_run]
    means = [found.value for each in sessions if (found := geometric_mean(each)) is not None]
    return [Values(dict(enumerate(means)), Unit.SESSIONS), by_run]


def ratio_of(metric: NightMetric, old: Sequence[Values], new: Sequence[Values]) -> Ratio | None:
    """Return the new values over the old ones, by sessions if both have them; None if a side has no values.

    Golden values are of one unit: where they are of sessions, and the new night has too few, its runs are compared with
    them, which is a comparison of runs.
    """
    if not old or not new:
        return None
    before = next((each for each in old if each.unit is new[0].unit), old[-1])
    after = next((each for each in new if each.unit is before.unit), new[-1])
    if before.exact is not None:
        after = new[0]
    ours = after.samples("new")
    if before.exact is not None:
        made = ratio_by_seeds(ours, [Sample(before.exact, "", each.repeat) for each in ours])
    elif before.unit is Unit.SEEDS:
        made = ratio_by_seeds(ours, before.samples("old"))
    else:
        made = ratio(ours, before.samples("old"))
    if made is None:
        return None
    one_session = metric.unit is Unit.SESSIONS and after.unit is Unit.RUNS
    counts = len(before.values), len(after.values)
    return Ratio(made, after.unit, (made.count, made.count) if after.unit is Unit.SEEDS else counts, one_session)
