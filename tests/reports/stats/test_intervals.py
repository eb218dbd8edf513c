from __future__ import annotations

import math

import pytest
from scipy import stats

from reports.stats.intervals import geometric_mean, mean


def test_three_repeats_give_the_t_interval_of_scipy() -> None:
    values = [10.0, 11.0, 13.0]
    low, high = stats.t.interval(0.95, df=2, loc=34 / 3, scale=stats.sem(values))
    found = mean(values)
    assert found.is_interval
    assert (found.value, found.low, found.high) == pytest.approx((34 / 3, low, high))


def test_the_interval_by_hand() -> None:
    # sd of 1, 2, 3 is 1; t(0.975, 2) = 4.302653; half-width = 4.302653 / sqrt(3)
    assert mean([1.0, 2.0, 3.0]).high == pytest.approx(2 + 4.302653 / math.sqrt(3), rel=1e-6)


def test_two_repeats_give_their_range_and_one_none() -> None:
    two, one = mean([4.0, 6.0]), mean([4.0])
    assert (two.value, two.low, two.high, two.is_interval) == (5, 4, 6, False)
    assert (one.value, one.low, one.high, one.is_interval) == (4, 4, 4, False)
    assert mean([]) is None


def test_a_geometric_mean_has_the_interval_of_its_logarithms() -> None:
    values = [9980.0, 10_020.0, 3300.0]
    logs = [math.log(value) for value in values]
    expected = stats.t.interval(0.95, df=2, loc=sum(logs) / 3, scale=stats.sem(logs))
    found = geometric_mean(values)
    assert found.value == pytest.approx(stats.gmean(values))
    assert (math.log(found.low), math.log(found.high)) == pytest.approx(expected)
    assert mean(values).low < 0 < found.low


def test_a_geometric_mean_of_two_has_their_range() -> None:
    two = geometric_mean([4.0, 9.0])
    assert (two.value, two.low, two.high) == pytest.approx((6, 4, 9))
    assert not two.is_interval
    assert geometric_mean([]) is None
