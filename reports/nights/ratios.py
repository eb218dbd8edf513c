"""A metric of one combination between two nights: the ratio, and what it is an interval over."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

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

    def of_repeats(self, repeats: Collection[int]) -> Values:
        """Return the values of some repeats."""
        return replace(self, values={each: value for each, value in self.values.items() if each in repeats})

    def samples(self, night: str) -> list[Sample]:
        """Return each value as that of a session of its own: runs of two nights share none."""
        return [Sample(value, f"{night} {number}", number) for number, value in self.values.items()]


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


def divisible(old: Sequence[Values], new: Sequence[Values]) -> tuple[Values, Values] | None:
    """Return the values of both sides that are divided: of one unit, sessions if both have them; None if no seed is.

    Golden values are of one unit: where they are of sessions, and the new night has too few, its runs are compared with
    them, which is a comparison of runs.
    """
    before = next((each for each in old if each.unit is new[0].unit), old[-1])
    if before.exact is not None:
        return before, new[0]
    after = next((each for each in new if each.unit is before.unit), new[-1])
    if before.unit is not Unit.SEEDS:
        return before, after
    shared = before.values.keys() & after.values.keys()
    return (before.of_repeats(shared), after.of_repeats(shared)) if shared else None


def ratio_of(old: Values, new: Values) -> Comparison:
    """Return the ratio of the new mean to the old one, with an interval from 3 values of both on."""
    ours = new.samples("new")
    if old.exact is not None:
        made = ratio_by_seeds(ours, [Sample(old.exact, "", each.repeat) for each in ours])
    else:
        made = (ratio_by_seeds if old.unit is Unit.SEEDS else ratio)(ours, old.samples("old"))
    assert made is not None, "both have positive values"
    return made
