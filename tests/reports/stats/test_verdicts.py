"""Verdicts adjust for a table's comparisons, and a table knows what it could have shown."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from reports.stats.comparison import Sample, ratio
from reports.stats.verdicts import Verdict, holm, smallest_ratio, verdicts


def test_holm_by_hand() -> None:
    # sorted 0.01, 0.02, 0.04 -> 3 x 0.01, 2 x 0.02, 1 x 0.04, each at least the one before
    assert holm([0.04, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_verdicts_name_the_direction_and_what_cannot_be_told() -> None:
    found = verdicts([(0.3, 0.001), (-0.3, 0.002), (0.01, 0.7), (0.5, None)])
    assert found == [Verdict.HIGHER, Verdict.LOWER, Verdict.NO_DIFFERENCE, Verdict.CANNOT_TELL]


def test_an_interval_without_one_is_no_verdict_among_many() -> None:
    compared = [(0.1, 0.03), *[(0.0, 0.5)] * 5]
    assert verdicts(compared)[0] is Verdict.NO_DIFFERENCE
    assert verdicts(compared[:1])[0] is Verdict.HIGHER


@pytest.mark.parametrize(("pairs", "percent"), [(3, 9.7), (5, 4.9), (10, 2.9)])
def test_the_smallest_ratio_that_noise_of_two_percent_allows(pairs: int, percent: float) -> None:
    assert 100 * (smallest_ratio(0.02 * math.sqrt(2), pairs) - 1) == pytest.approx(percent, abs=0.06)


def test_the_smallest_ratio_is_seen_four_times_of_five() -> None:
    random, pairs, deviation = np.random.default_rng(3), 5, 0.03
    shift = math.log(smallest_ratio(deviation, pairs))
    drawn = random.normal(shift, deviation, (20_000, pairs))
    seen = stats.ttest_1samp(drawn, 0, axis=1).pvalue < 0.05
    assert seen.mean() == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize("alpha", [0.05, 0.05 / 10, 0.05 / 300])
@pytest.mark.parametrize("pairs", [3, 5, 10, 100])
def test_the_smallest_ratio_has_its_power_by_scipy(pairs: int, alpha: float) -> None:
    shift = math.log(smallest_ratio(0.02, pairs, alpha=alpha)) * math.sqrt(pairs) / 0.02
    critical = stats.t.ppf(1 - alpha / 2, pairs - 1)
    assert stats.nct.sf(critical, pairs - 1, shift) == pytest.approx(0.8, abs=1e-4)


CELLS = [(nodes, strategy) for nodes in range(2) for strategy in range(4)]
"""Four strategies against one reference on two node counts."""


def false_verdicts(
    repeats: int, *, tables: int, faster: Sequence[float] = (), failures: float = 0.0
) -> tuple[float, float]:
    """Return the share of tables with a false verdict, and with a plain interval without the true ratio.

    Args:
        faster: true log-ratios of the first strategies; the others are as fast as the reference.
        failures: probability that a run has no figure.

    """
    random = np.random.default_rng(5)
    true = [*faster, *[0.0] * (4 - len(faster))]
    noise = random.normal(0, 0.02, (tables, 2, 5, repeats))
    failed = random.random((tables, 2, 5, repeats)) < failures
    wrong = plain = 0
    for table in range(tables):
        compared, effects = [], []
        for nodes, strategy in CELLS:
            sides = [
                [
                    Sample(math.exp(effect + noise[table, nodes, place, r]), "s", r)
                    for r in range(repeats)
                    if not failed[table, nodes, place, r]
                ]
                for place, effect in ((strategy + 1, true[strategy]), (0, 0.0))
            ]
            if (made := ratio(*sides)) is not None:
                compared.append((math.log(made.estimate.value), made.p_value))
                effects.append(true[strategy])
        found = zip(effects, compared, verdicts(compared), strict=True)
        wrong += any(_is_wrong(effect, verdict) for effect, _, verdict in found)
        plain += any(p is not None and p < 0.05 for effect, (_, p) in zip(effects, compared, strict=True) if not effect)
    return wrong / tables, plain / tables


def _is_wrong(effect: float, verdict: Verdict) -> bool:
    right = {Verdict.HIGHER: effect > 0, Verdict.LOWER: effect < 0}
    return not right.get(verdict, True)


def test_false_verdicts_of_a_family_in_short() -> None:
    wrong, plain = false_verdicts(5, tables=800)
    assert wrong <= 0.065  # 5 % and 2 standard errors
    assert plain > 0.15, "plain intervals would have claimed something in many tables"


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("repeats", [3, 5, 10, 20])
@pytest.mark.parametrize("faster", [(), (0.1, -0.1)])
@pytest.mark.parametrize("failures", [0.0, 0.25])
def test_false_verdicts_of_a_family(repeats: int, faster: Sequence[float], failures: float) -> None:
    wrong, plain = false_verdicts(repeats, tables=10_000, faster=faster, failures=failures)
    assert wrong <= 0.055
    if repeats > 3 and not faster:
        assert plain > 0.15
