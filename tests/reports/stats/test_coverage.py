"""Every printed interval holds the truth in 94 to 96 % of simulated sweeps; where it cannot, how often it does."""

from __future__ import annotations

import math

import pytest

from reports.stats.comparison import Comparison, Sample, difference, ratio
from reports.stats.intervals import Estimate, geometric_mean, mean, over_allocations
from tests.reports.stats.worlds import WORLDS, Bounds, Interval, Sides, coverage

REPEATS = (3, 5, 10, 20)
RIGHT = (0.94, 0.96)
WELCH = (0.94, 0.97)
"""Cautious with few sessions (0.965 with 3 of equal variance), and never the other way."""

APART = [name for name in WORLDS if "allocations" in name and "shared" not in name]
TOGETHER = [name for name in WORLDS if name not in APART]
SEVERAL = [name for name in WORLDS if name.split()[0] in ("3", "10")]
STEADY = ["failures of 25 %", "log-normal noise of 30 %", *SEVERAL]
MOVING = ["drift shared within a session", "a trend of 5 %"]


def _interval(made: Comparison | None) -> Bounds | None:
    return None if made is None or made.p_value is None else (made.estimate.low, made.estimate.high)


def of_ratio(sides: Sides) -> Bounds | None:
    return _interval(ratio(*sides))


def of_loss_difference(sides: Sides) -> Bounds | None:
    """The logarithms are losses, and no run shares a session with another."""
    first, second = (
        [Sample(math.log(each.value), f"{place} {each.repeat}", each.repeat) for each in side]
        for place, side in enumerate(sides)
    )
    found = _interval(difference(first, second))
    return None if found is None else (math.exp(found[0]), math.exp(found[1]))


def _of_estimate(found: Estimate | None) -> Bounds | None:
    return None if found is None or not found.is_interval else (found.low, found.high)


def of_rate(sides: Sides) -> Bounds | None:
    by_session: dict[str, list[float]] = {}
    for each in sides[0]:
        place = str(each.repeat) if each.session == "shared" else each.session  # one machine, without allocations
        by_session.setdefault(place, []).append(each.value)
    return _of_estimate(over_allocations(geometric_mean, list(by_session.values()))[0])


def of_loss(sides: Sides) -> Bounds | None:
    found = _of_estimate(mean([math.log(each.value) for each in sides[0]]))
    return None if found is None else (math.exp(found[0]), math.exp(found[1]))


@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.parametrize("repeats", REPEATS)
@pytest.mark.parametrize("name", WORLDS)
def test_ratios(name: str, repeats: int) -> None:
    found, printed = coverage(WORLDS[name], of_ratio, repeats=repeats, simulations=10_000)
    if WORLDS[name].allocations == 1 and name in APART:
        assert printed == 0, "one allocation shows nothing of how allocations differ"
        return
    low, high = WELCH if name in APART else RIGHT
    assert low <= found <= high
    assert printed > 1500


@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.parametrize("repeats", REPEATS)
@pytest.mark.parametrize(
    ("interval", "fewest", "name"),
    [
        # what both sides share is the seed; their sessions do not matter
        *((of_loss_difference, 1500, name) for name in TOGETHER),
        *((of_rate, 4000, name) for name in STEADY),
        *((of_loss, 0, name) for name in ("failures of 25 %", "log-normal noise of 30 %")),
    ],
)
def test_differences_of_losses_and_means(interval: Interval, fewest: int, name: str, repeats: int) -> None:
    found, printed = coverage(WORLDS[name], interval, repeats=repeats, simulations=10_000)
    assert RIGHT[0] <= found <= RIGHT[1]
    assert printed > fewest


@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.parametrize("repeats", REPEATS)
@pytest.mark.parametrize("name", MOVING)
def test_a_mean_under_drift_is_that_of_its_time(name: str, repeats: int) -> None:
    """It holds the level of its own sweep more often than it says, and that of the start less often."""
    level, _ = coverage(WORLDS[name], of_rate, repeats=repeats, simulations=10_000, of_level=True)
    start, _ = coverage(WORLDS[name], of_rate, repeats=repeats, simulations=10_000)
    assert level > 0.98
    assert start < (0.94 if repeats == 3 else 0.75)


@pytest.mark.parametrize("name", [name for name in WORLDS if name.startswith("1 ")])
def test_a_mean_of_one_allocation_has_no_interval(name: str) -> None:
    for repeats in REPEATS:
        assert coverage(WORLDS[name], of_rate, repeats=repeats, simulations=10)[1] == 0


@pytest.mark.parametrize(
    ("name", "interval", "repeats"),
    [
        ("drift shared within a session", of_ratio, 5),
        ("3 shared allocations that differ by 5%", of_ratio, 5),
        ("failures of 25 %", of_loss_difference, 10),
        ("3 allocations that differ by 5%", of_rate, 10),
        ("log-normal noise of 30 %", of_rate, 3),
    ],
)
def test_coverage_in_short(name: str, interval: Interval, repeats: int) -> None:
    found, printed = coverage(WORLDS[name], interval, repeats=repeats, simulations=2_000)
    assert printed > 1_900
    assert 0.935 <= found <= 0.965


def test_sessions_are_cautious_in_short() -> None:
    found, _ = coverage(WORLDS["3 allocations that differ by 5%"], of_ratio, repeats=5, simulations=2_000)
    assert 0.935 <= found <= 0.98


def test_pairs_across_allocations_would_claim_too_much() -> None:
    """What tables did before: repeat i of one job against repeat i of another."""

    def paired_across_jobs(sides: Sides) -> Bounds | None:
        ours, theirs = ([Sample(each.value, "one", each.repeat) for each in side] for side in sides)
        return of_ratio((ours, theirs))

    one = WORLDS["1 allocations that differ by 5%"]
    found, _ = coverage(one, paired_across_jobs, repeats=3, simulations=2_000)
    assert found < 0.65


@pytest.mark.parametrize(("allocations", "repeats", "most"), [(3, 20, 0.6), (1, 3, 0.6), (1, 20, 0.2)])
def test_runs_of_few_allocations_as_units_would_claim_too_much(allocations: int, repeats: int, most: float) -> None:
    """What cells did before."""

    def over_runs(sides: Sides) -> Bounds | None:
        return _of_estimate(geometric_mean([each.value for each in sides[0]]))

    world = WORLDS[f"{allocations} allocations that differ by 5%"]
    found, _ = coverage(world, over_runs, repeats=repeats, simulations=2_000)
    assert found < most
