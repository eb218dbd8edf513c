"""Pairs only within a session, else sessions as the unit; losses in pairs of one seed."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from reports.stats.comparison import Comparison, Rule, Sample, difference, ratio


def samples(values: list[float], session: str = "a") -> list[Sample]:
    return [Sample(value, session, repeat) for repeat, value in enumerate(values)]


def known(found: Comparison | None) -> Comparison:
    assert found is not None
    return found


def test_pairs_of_one_session_cancel_what_they_share() -> None:
    found = known(ratio(samples([2.0, 4.0, 8.0]), samples([1.0, 2.0, 4.0])))
    assert found.rule is Rule.PAIRS
    assert found.estimate.value == pytest.approx(2)
    assert (found.estimate.low, found.estimate.high) == pytest.approx((2, 2))
    assert found.size == 3


def test_ratio_by_hand_is_the_geometric_mean_of_the_pairs_that_both_have() -> None:
    # pairs 1/1, 4/1 -> sqrt(1 * 4) = 2; repeats 2 and 3 have no partner
    theirs = [Sample(1.0, "a", 0), Sample(1.0, "a", 1), Sample(7.0, "a", 3)]
    found = known(ratio(samples([1.0, 4.0, 100.0]), theirs))
    assert (found.estimate.value, found.estimate.low, found.estimate.high) == pytest.approx((2, 1, 4))
    assert (found.size, found.rule) == (2, Rule.PAIRS)


def test_a_run_of_another_session_is_no_partner() -> None:
    late = [*samples([1.0, 1.0]), Sample(100.0, "another call", 2)]
    found = known(ratio(samples([2.0, 2.0, 2.0]), late))
    assert (found.rule, found.size) == (Rule.PAIRS, 2)
    assert found.estimate.value == pytest.approx(2)
    assert found.p_value is None, "two pairs give no interval"


def test_without_pairs_the_session_is_the_unit() -> None:
    ours = [Sample(value, f"job {number}", 0) for number, value in enumerate([1.9, 2.0, 2.1])]
    theirs = [Sample(value, f"job {number}", 0) for number, value in enumerate([1.0, 1.1, 0.9], start=3)]
    found = known(ratio(ours, theirs))
    expected = stats.ttest_ind([math.log(s.value) for s in ours], [math.log(s.value) for s in theirs], equal_var=False)
    low, high = expected.confidence_interval(0.95)
    assert (found.rule, found.sessions) == (Rule.SESSIONS, (3, 3))
    assert found.p_value == pytest.approx(expected.pvalue)
    assert (found.estimate.low, found.estimate.high) == pytest.approx((math.exp(low), math.exp(high)))


def test_many_repeats_of_one_session_are_one_unit() -> None:
    found = known(ratio(samples([2.0, 2.1, 1.9, 2.0], "a"), samples([1.0, 1.1, 0.9, 1.0], "b")))
    assert (found.rule, found.sessions, found.size) == (Rule.SESSIONS, (1, 1), 1)
    assert found.p_value is None
    assert not found.estimate.is_interval


def test_a_difference_of_losses_is_paired_by_seed() -> None:
    ours, theirs = [4.82, 4.86, 4.79], [4.79, 4.82, 4.76]
    found = known(difference(samples(ours), samples(theirs)))
    expected = stats.ttest_rel(ours, theirs).confidence_interval(0.95)
    assert (found.estimate.low, found.estimate.high) == pytest.approx((expected.low, expected.high))
    assert (found.rule, found.size) == (Rule.SEEDS, 3)
    assert found.p_value == pytest.approx(stats.ttest_rel(ours, theirs).pvalue)


def test_losses_of_one_seed_are_a_pair_whatever_their_sessions() -> None:
    ours, theirs = [4.82, 4.86, 4.79], [4.79, 4.82, 4.76]
    here, elsewhere = samples(theirs), [Sample(value, f"call {r}", r) for r, value in enumerate(theirs)]
    assert known(difference(samples(ours), elsewhere)).estimate == known(difference(samples(ours), here)).estimate
    two = known(difference(samples(ours), elsewhere[:2]))
    assert (two.size, two.p_value) == (2, None)
    assert difference(samples(ours)[:1], elsewhere[1:]) is None, "no seed has both"


def test_nothing_positive_gives_no_ratio() -> None:
    assert ratio(samples([0.0]), samples([1.0])) is None
    assert ratio([], samples([1.0])) is None


def test_a_cell_over_itself_is_one_and_no_finding() -> None:
    found = known(ratio(samples([2.0, 3.0]), samples([2.0, 3.0])))
    assert (found.rule, found.estimate.value, found.p_value) == (Rule.ITSELF, 1.0, None)


def test_a_late_retry_is_no_partner_and_the_gap_is_of_pairs_only() -> None:
    ours = [Sample(2.0, "a", 2, 190.0), Sample(2.0, "a", 1, 100.0), Sample(9.0, "a", 0, 900.0)]
    theirs = [Sample(1.0, "a", 0, 40.0), Sample(1.0, "a", 1, 110.0), Sample(1.0, "a", 2, 200.0)]
    found = known(ratio(ours, theirs))
    assert (found.rule, found.size, found.gap) == (Rule.PAIRS, 2, 10.0)
    assert found.estimate.value == pytest.approx(2)
    assert known(difference(ours, theirs)).size == 3, "a seed is a partner at any time"


def test_late_is_what_starts_after_a_later_repeat_of_the_two_that_are_compared() -> None:
    """In an allocation of one's own all repeats of a node count may precede those of the next one."""
    before = [Sample(1.0, "a", repeat, 10.0 * repeat) for repeat in range(5)]
    fsdp, hsdp = (
        [Sample(value, "a", repeat, 100.0 + 10 * repeat + later) for repeat in range(5)]
        for value, later in ((2.0, 0), (4.0, 5))
    )
    assert known(ratio(hsdp, fsdp)).size == 5
    assert known(ratio(fsdp, before)).size == 1


def test_several_calls_in_one_allocation_are_one_unit() -> None:
    ours = [Sample(2.0 + call / 100, f"job 7, runner {call}", call, allocation="7") for call in range(3)]
    theirs = [Sample(1.0 + call / 100, f"job 8, runner {call}", call, allocation="8") for call in range(3)]
    found = known(ratio(ours, theirs))
    assert (found.rule, found.sessions, found.p_value) == (Rule.SESSIONS, (1, 1), None)


def test_an_unknown_start_leaves_the_gap_unknown() -> None:
    theirs = [Sample(1.0, "a", 0, 40.0), Sample(1.0, "a", 1)]
    assert known(ratio([Sample(2.0, "a", 0, 0.0), Sample(2.0, "a", 1, 1.0)], theirs)).gap is None
