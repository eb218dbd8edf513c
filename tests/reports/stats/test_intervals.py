from __future__ import annotations

import math

import pytest
from scipy import stats

from reports.stats.intervals import mean


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
