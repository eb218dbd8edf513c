"""Verdicts adjust for a table's comparisons, and a table knows what it could have shown."""

from __future__ import annotations

import math

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


@pytest.mark.soak
@pytest.mark.parametrize("repeats", [3, 5, 10])
def test_false_verdicts_of_a_family(repeats: int) -> None:
    """Every true ratio is 1: four strategies against one reference on two node counts, 10,000 tables."""
    random = np.random.default_rng(5)
    wrong = plain = 0
    tables = 10_000
    for _ in range(tables):
        compared = []
        for _nodes in range(2):
            base = np.exp(random.normal(0, 0.02, repeats))
            for _strategy in range(4):
                other = np.exp(random.normal(0, 0.02, repeats))
                sides = [[Sample(float(v), "s", r) for r, v in enumerate(side)] for side in (other, base)]
                made = ratio(*sides)
                assert made is not None
                compared.append((math.log(made.estimate.value), made.p_value))
        plain += any(p is not None and p < 0.05 for _, p in compared)
        wrong += any(verdict in (Verdict.HIGHER, Verdict.LOWER) for verdict in verdicts(compared))
    assert wrong / tables <= 0.055
    assert plain / tables > 0.15, "plain intervals would have claimed something in many tables"
