"""Ratios and differences of two groups of runs, by the one rule that the way they were run allows.

For throughput: runs of one session (one allocation of a batch job, or one local call of `run`) share its machines and
its drift, so their ratio is taken in pairs: the same repeat of both, in the same session and in its time: what started
after a later repeat of the two had has no partner, because the machine has moved on. Runs of different sessions share
nothing; there the unit is the session, or the allocation if it had several: the means of its logarithms are compared by
Welch's t (B. L. Welch, "The generalization of Student's problem when several different population variances are
involved", Biometrika 34, 1947).

For losses: repeat r of every strategy starts from the same seed, and so from the same weights and the same order of
samples. The machine has no part in a loss, so differences are taken between runs of one seed, whatever their sessions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from enum import StrEnum
from itertools import groupby
from typing import NamedTuple

from scipy import special

from reports.stats.intervals import FEWEST_FOR_INTERVAL, Estimate, deviation, half_width, mean, plain_mean


class Rule(StrEnum):
    """How a comparison was made."""

    PAIRS = "pairs"
    SESSIONS = "sessions"
    SEEDS = "seeds"
    ITSELF = "itself"


class Sample(NamedTuple):
    """One run's figure, with the session and the repeat that it belongs to; repeats of one number share a seed.

    A tuple, because a report makes millions and a frozen dataclass takes three times as long.

    Attributes:
        started: seconds since the epoch; None if unknown.
        allocation: what sessions share the nodes of, such as a batch job; a session without one is its own.

    """

    value: float
    session: str
    repeat: int
    started: float | None = None
    allocation: str = ""


class Comparison(NamedTuple):
    """A ratio (or a difference) with the rule and the counts behind it.

    Attributes:
        estimate: value with interval or range; its size is that of the pairs, or of the smaller side's sessions.
        rule: pairs of one session, means of sessions, or (for losses) pairs of one seed.
        sessions: sessions of the numerator and of the denominator that took part.
        p_value: two-sided, of the ratio being 1 (the difference being 0); None without an interval.
        deviation: standard deviation of the paired differences (for a ratio, of the log-ratios); None without an
            interval of pairs.
        gap: largest difference between the starts of a pair's runs, in seconds; None if unknown or without such pairs.

    """

    estimate: Estimate
    rule: Rule
    sessions: tuple[int, int]
    p_value: float | None = None
    deviation: float | None = None
    gap: float | None = None

    @property
    def size(self) -> int:
        """Pairs, or sessions of the side that has fewer."""
        return self.estimate.size


def ratio(numerators: Sequence[Sample], denominators: Sequence[Sample]) -> Comparison | None:
    """Return the ratio of geometric means; None if either side has no positive figure to compare."""
    made = _of_sessions(_logarithms(numerators), _logarithms(denominators))
    return None if made is None else made._replace(estimate=made.estimate.exp())


def difference(minuends: Sequence[Sample], subtrahends: Sequence[Sample]) -> Comparison | None:
    """Return the mean difference between runs of one seed (the same repeat); None if no seed has both."""
    if minuends and list(minuends) == list(subtrahends):
        return _itself(minuends)
    pairs = _pairs(minuends, subtrahends, lambda each: each.repeat)
    return _by_pairs(pairs, Rule.SEEDS) if pairs else None


def ratio_by_seeds(numerators: Sequence[Sample], denominators: Sequence[Sample]) -> Comparison | None:
    """Return the ratio of geometric means over pairs of one seed (the same repeat); None if no seed has both."""
    made = difference(_logarithms(numerators), _logarithms(denominators))
    return None if made is None else made._replace(estimate=made.estimate.exp())


def _logarithms(samples: Sequence[Sample]) -> list[Sample]:
    return [Sample(math.log(each.value), *each[1:]) for each in samples if each.value > 0]


def _of_sessions(first: Sequence[Sample], second: Sequence[Sample]) -> Comparison | None:
    if not first or not second:
        return None
    if list(first) == list(second):
        return _itself(first)
    late = _late([*first, *second])
    ours, theirs = ([each for each in side if each not in late] for side in (first, second))
    pairs = _pairs(ours, theirs, lambda each: (each.session, each.repeat))
    if len(pairs) < FEWEST_FOR_INTERVAL:
        means = _session_means(first), _session_means(second)
        if not pairs or min(map(len, means)) >= FEWEST_FOR_INTERVAL:
            return _by_sessions(*means)
    return _by_pairs(pairs, Rule.PAIRS, _gap(pairs))


def _late(samples: Sequence[Sample]) -> set[Sample]:
    """Return the samples before which a later repeat of their session had started, of either side."""
    late: set[Sample] = set()
    if len({each.repeat for each in samples}) == 1:
        return late
    later_starts: dict[str, float] = {}
    for _, same in groupby(sorted(samples, key=_repeat, reverse=True), key=_repeat):
        begun = [(each, each.started) for each in same if each.started is not None]
        late.update(each for each, start in begun if later_starts.get(each.session, math.inf) < start)
        for each, start in begun:
            later_starts[each.session] = min(start, later_starts.get(each.session, math.inf))
    return late


def _repeat(sample: Sample) -> int:
    return sample.repeat


def _gap(pairs: Sequence[tuple[Sample, Sample]]) -> float | None:
    apart = [
        abs(one.started - other.started)
        for one, other in pairs
        if one.started is not None and other.started is not None
    ]
    return max(apart) if len(apart) == len(pairs) else None


def _itself(samples: Sequence[Sample]) -> Comparison:
    sessions = _sessions(samples)
    return Comparison(Estimate(0.0, 0.0, 0.0, len(samples)), Rule.ITSELF, (sessions, sessions))


def _sessions(samples: Sequence[Sample]) -> int:
    return len({each.session for each in samples})


def _pairs(
    first: Sequence[Sample], second: Sequence[Sample], key: Callable[[Sample], Hashable]
) -> list[tuple[Sample, Sample]]:
    """Return the runs of both sides that agree in the key, which no two runs of one side share."""
    others = {key(each): each for each in second}
    return [(each, others[key(each)]) for each in first if key(each) in others]


def by_session(samples: Iterable[Sample]) -> list[list[float]]:
    """Return the values divided by what varies between sessions: the allocation, or the session without one."""
    divided: dict[str, list[float]] = {}
    for each in samples:
        divided.setdefault(each.allocation or each.session, []).append(each.value)
    return list(divided.values())


def _session_means(samples: Sequence[Sample]) -> list[float]:
    return [plain_mean(values) for values in by_session(samples)]


def _by_pairs(pairs: Sequence[tuple[Sample, Sample]], rule: Rule, gap: float | None = None) -> Comparison:
    differences = [one.value - other.value for one, other in pairs]
    sessions = _sessions([one for one, _ in pairs]), _sessions([other for _, other in pairs])
    estimate, count = mean(differences), len(pairs)
    assert estimate is not None, "there are pairs"
    if not estimate.is_interval:
        return Comparison(estimate, rule, sessions, gap=gap)
    spread = deviation(differences)
    p_value = _p_value(estimate.value, spread / math.sqrt(count), count - 1)
    return Comparison(estimate, rule, sessions, p_value, spread, gap)


def _by_sessions(first: list[float], second: list[float]) -> Comparison:
    centre, counts = plain_mean(first) - plain_mean(second), (len(first), len(second))
    fewest = min(counts)
    if fewest < FEWEST_FOR_INTERVAL:
        apart = [one - other for one in first for other in second]
        low, high = (min(apart), max(apart)) if fewest > 1 else (centre, centre)
        return Comparison(Estimate(centre, low, high, fewest), Rule.SESSIONS, counts)
    variances = [deviation(side) ** 2 / len(side) for side in (first, second)]
    total = sum(variances)
    parts = sum(part**2 / (count - 1) for part, count in zip(variances, counts, strict=True))
    freedom = total**2 / parts if parts else float(sum(counts) - 2)
    error = math.sqrt(total)
    half = half_width(error, freedom)
    estimate = Estimate(centre, centre - half, centre + half, fewest)
    return Comparison(estimate, Rule.SESSIONS, counts, _p_value(centre, error, freedom))


def _p_value(centre: float, error: float, freedom: float) -> float:
    """Return the two-sided p-value of a value with this standard error being 0."""
    distance = abs(centre) / error if error else math.inf if centre else 0.0
    return float(2 * special.stdtr(freedom, -distance))
