from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from reports.stats.change_points import change_points


def noisy(*levels: tuple[int, float], noise: float = 0.01) -> list[float]:
    random = np.random.default_rng(1)
    return [float(level + random.normal(0, noise)) for count, level in levels for _ in range(count)]


def test_changes_are_found_where_they_are_with_the_levels_between_them() -> None:
    found = change_points(noisy((15, 0.0), (10, -0.05), (12, 0.1)), 0.001)
    assert [point.index for point in found] == [15, 25]
    assert [point.after for point in found] == pytest.approx([-0.05, 0.1], abs=0.01)
    assert found[1].before == found[0].after


def test_a_small_change_is_found_beside_a_large_one() -> None:
    found = change_points(noisy((40, 0.0), (40, 0.04), (40, 10.0)), 0.001)
    assert [point.index for point in found] == [40, 80]


def test_the_p_value_is_students() -> None:
    values = noisy((10, 0.0), (5, 0.05))
    (point,) = change_points(values, 0.001)
    assert point.p_value == pytest.approx(stats.ttest_ind(values[:10], values[10:]).pvalue)


def test_one_odd_value_is_no_change_and_two_are() -> None:
    quiet = noisy((12, 0.0))
    assert change_points([*quiet, -0.3, *quiet], 0.001) == []
    assert [point.index for point in change_points([*quiet, -0.3, -0.31], 0.001)] == [12]


def test_a_change_that_does_not_matter_is_merged_away() -> None:
    values = noisy((30, 0.0), (30, 0.015), (30, 0.1), noise=0.002)
    assert [point.index for point in change_points(values, 0.001)] == [30, 60]
    assert [point.index for point in change_points(values, 0.001, 0.02)] == [60]


def test_values_without_noise() -> None:
    assert [point.index for point in change_points([5.0] * 4 + [5.5] * 3, 1e-6)] == [4]
    assert change_points([0.1 + 0.2, 0.3] * 8, 0.01) == [], "rounding is no change"
    for few in ([], [1.0], [1.0, 2.0, 3.0]):
        assert change_points(few, 0.5) == []
