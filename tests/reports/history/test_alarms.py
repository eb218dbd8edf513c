"""False and missed alarms of histories, in simulations: the figures of docs/guides/nights.md."""

from __future__ import annotations

import numpy as np
import pytest

from tests.reports.history.simulated import simulate


def quiet(histories: int) -> list[int]:
    """False alarms of each history of 30 quiet nights."""
    random = np.random.default_rng(1)
    return [simulate(random, 30).false for _ in range(histories)]


def planted(histories: int) -> tuple[float, float]:
    """Shares of slow-downs of 5 % that were told within two and within three nights, after 20 quiet ones."""
    random = np.random.default_rng(2)
    found = [after for _ in range(histories) for after in simulate(random, 23, slower_from=20, slower=4).found_after]
    return tuple(sum(after is not None and after <= most for after in found) / len(found) for most in (2, 3))


def test_thirty_quiet_nights_alarm_at_most_once() -> None:
    assert np.mean(quiet(8)) <= 1


def test_slowdowns_are_told_within_three_nights() -> None:
    within_two, within_three = planted(20)
    assert within_two > 0.6
    assert within_three > 0.9


@pytest.mark.soak
def test_many_quiet_nights_alarm_at_most_once_in_thirty() -> None:
    alarms = quiet(300)
    assert np.mean(alarms) <= 0.5
    assert np.mean([count > 1 for count in alarms]) <= 0.1


@pytest.mark.soak
def test_many_slowdowns_are_told_within_three_nights() -> None:
    within_two, within_three = planted(300)
    assert within_two > 0.8
    assert within_three > 0.95
