"""Repeats that differ more than their blocks explain are found, and others hardly ever."""

from __future__ import annotations

import numpy as np
import pytest

from reports.stats.spread import differ_beyond_blocks


def runs(
    random: np.random.Generator, repeats: int, blocks: int, noise: float, *, between: float = 0.0
) -> list[list[float]]:
    """Block throughputs of repeats whose logarithms differ by `between`, with block noise of `noise`."""
    centres = random.normal(0, between, repeats)
    return [list(1000 * np.exp(random.normal(centre, noise, blocks))) for centre in centres]


def alarms(repeats: int, blocks: int, noise: float, *, between: float = 0.0, simulations: int = 2000) -> float:
    random = np.random.default_rng(11)
    drawn = (runs(random, repeats, blocks, noise, between=between) for _ in range(simulations))
    return sum(map(differ_beyond_blocks, drawn)) / simulations


def test_a_repeat_that_is_slower_throughout_is_found() -> None:
    assert differ_beyond_blocks([[1000, 1010, 990], [1005, 995, 1000], [700, 710, 690]])


def test_one_slow_block_is_no_slow_repeat() -> None:
    assert not differ_beyond_blocks([[1000, 1010, 990], [1005, 995, 1000], [1000, 1010, 700]])


def test_a_difference_below_five_percent_is_not_worth_a_caution() -> None:
    assert not differ_beyond_blocks([[1000, 1001, 999], [1040, 1041, 1039]])
    assert differ_beyond_blocks([[1000, 1001, 999], [1060, 1061, 1059]])


def test_without_a_spread_within_runs_nothing_can_be_said() -> None:
    assert not differ_beyond_blocks([[1000], [2000], [3000]])
    assert not differ_beyond_blocks([[1000, 2000]])


@pytest.mark.parametrize("repeats", [3, 20])
@pytest.mark.parametrize("noise", [0.02, 0.3])
def test_false_alarms_in_short(repeats: int, noise: float) -> None:
    assert alarms(repeats, blocks=3, noise=noise) <= 0.015


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("repeats", [3, 5, 10, 20])
@pytest.mark.parametrize("blocks", [3, 10])
@pytest.mark.parametrize("noise", [0.02, 0.1, 0.3])
def test_false_alarms(repeats: int, blocks: int, noise: float) -> None:
    assert alarms(repeats, blocks, noise, simulations=10_000) <= 0.0125  # 1 % and 2.5 standard errors


@pytest.mark.parametrize(("repeats", "between"), [(3, 0.2), (10, 0.1)])
def test_repeats_that_differ_are_found_more_often_than_not(repeats: int, between: float) -> None:
    assert alarms(repeats, blocks=5, noise=0.05, between=between, simulations=500) > 0.5
