"""One combination over nights: its series, their changes, and where it is not comparable with what was before."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from reports.history.history_document import Break, LevelChange, Series
from reports.history.levels import TRAINED_TOKENS, Level
from reports.nights.conditions import Conditions, differing
from reports.nights.document import Change, Labels
from reports.nights.night_metrics import NightMetric, Unit
from reports.stats.change_points import change_points


@dataclass(frozen=True)
class Course:
    """One combination over nights, by their indices."""

    labels: Labels
    levels: Mapping[int, Level]

    @property
    def breaks(self) -> list[Break]:
        """Nights from which on it was measured under other conditions."""
        pairs = zip(self.levels, list(self.levels)[1:], strict=False)
        found = {
            after: differing(self.levels[before].conditions, self.levels[after].conditions) for before, after in pairs
        }
        return [
            Break(labels=self.labels, night=night, reason="; ".join(texts)) for night, texts in found.items() if texts
        ]

    def series(self, metric: NightMetric) -> Series | None:
        """Return a metric's values; None if no night has it."""
        stretches = [found for each in self._stretches(metric) if (found := self._logarithms(metric, each))]
        if not stretches:
            return None
        return Series(
            labels=self.labels,
            metric=metric.key,
            nights=[night for logs in stretches for night in logs],
            values=[math.exp(value) for logs in stretches for value in logs.values()],
            begins=[next(iter(logs)) for logs in stretches],
        )

    def changes(self, metric: NightMetric, largest_p: float, tolerance: float) -> Iterator[LevelChange]:
        """Yield the changes of a metric's level, in each stretch of nights under the same conditions."""
        for stretch in self._stretches(metric):
            logs = self._logarithms(metric, stretch)
            nights = list(logs)
            found = change_points(list(logs.values()), largest_p, math.log1p(tolerance))
            edges = [0, *(point.index for point in found), len(nights)]
            for place, point in enumerate(found):
                is_higher = point.after > point.before
                causes, nearby = self._causes(nights, point.index)
                yield LevelChange(
                    labels=self.labels,
                    metric=metric.key,
                    night=nights[point.index],
                    verdict=Change.IMPROVED if is_higher is metric.higher_is_better else Change.REGRESSED,
                    ratio=math.exp(point.after - point.before),
                    p_value=point.p_value,
                    counts=(point.index - edges[place], edges[place + 2] - point.index),
                    causes=causes,
                    nearby=nearby,
                )

    def _stretches(self, metric: NightMetric) -> list[list[int]]:
        """Return the nights in stretches without a break that matters to the metric."""
        stretches: list[list[int]] = [[]]
        last: Conditions = {}
        for night, level in self.levels.items():
            # A throughput is comparable after other numbers of tokens, a loss is not.
            now = {
                name: text
                for name, text in level.conditions.items()
                if metric.unit is Unit.SEEDS or name != TRAINED_TOKENS
            }
            if stretches[-1] and differing(last, now):
                stretches.append([])
            stretches[-1].append(night)
            last = now
        return stretches

    def _logarithms(self, metric: NightMetric, nights: Sequence[int]) -> dict[int, float]:
        """Return the logarithms of a metric's values by night, of the nights of one stretch.

        Repeats differ in their seed, and so in their loss: where one is missing, the others' differences from their own
        means over these nights count.
        """
        by_repeat = {
            night: {repeat: math.log(value) for repeat, value in values.items()}
            for night in nights
            if (values := self.levels[night].values.get(metric.key))
        }
        if not by_repeat:
            return {}
        repeats = {repeat for values in by_repeat.values() for repeat in values}
        means = {
            repeat: _mean([values[repeat] for values in by_repeat.values() if repeat in values]) for repeat in repeats
        }
        level = _mean(list(means.values()))
        return {
            night: level + _mean([value - means[repeat] for repeat, value in values.items()])
            for night, values in by_repeat.items()
        }

    def _causes(self, nights: list[int], index: int) -> tuple[list[str], list[str]]:
        """Return the software that changed at a night, or else beside it."""
        causes = self._software(nights, index)
        beside = [text for other in (index - 1, index + 1) for text in self._software(nights, other)]
        return causes, [] if causes else beside

    def _software(self, nights: list[int], index: int) -> list[str]:
        if not 0 < index < len(nights):
            return []
        before, after = (self.levels[nights[place]].software for place in (index - 1, index))
        return differing(before, after)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
