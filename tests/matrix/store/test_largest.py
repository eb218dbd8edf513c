"""The search for the largest batch size, over all thresholds and starts."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from matrix.store.largest import largest, most_trials, next_trial


def search(start: int, limit: int, does_fit: Callable[[int], bool], known: dict[int, bool]) -> tuple[int, list[int]]:
    """Return the size found, and the trials in order; `known` is all that is kept from one trial to the next."""
    tried = []
    while (found := largest(limit, known)) is None:
        size = next_trial(start, limit, known)
        assert 1 <= size <= limit
        assert size not in known, "no trial twice"
        known[size] = does_fit(size)
        tried.append(size)
    return found, tried


@pytest.mark.parametrize(("start", "limit"), [(1, 1), (1, 2), (1, 20), (4, 20), (7, 23), (20, 20), (3, 64), (64, 64)])
def test_every_threshold_is_found_in_no_more_trials_than_planned(start: int, limit: int) -> None:
    most = most_trials(start, limit, {})
    taken = []
    for threshold in range(limit + 3):
        found, tried = search(start, limit, lambda size, threshold=threshold: size <= threshold, {})
        assert found == min(threshold, limit)
        taken.append(len(tried))
    assert max(taken) == most, "the planned number is that of the worst case"


def test_trials_are_doublings_and_bisections() -> None:
    assert search(4, 256, lambda size: size <= 21, {}) == (21, [4, 8, 16, 32, 24, 20, 22, 21])
    assert search(4, 256, lambda size: size <= 2, {}) == (2, [4, 2, 3])
    assert search(4, 256, lambda size: False, {}) == (0, [4, 2, 1])
    assert search(4, 20, lambda size: True, {}) == (20, [4, 8, 16, 20])
    assert most_trials(4, 256, {}) == 7 + 7  # to 256, which does not fit; then between 128 and 256


def test_a_search_is_continued_after_any_trial() -> None:
    """Which trials are left, and how many at most, follows from the decided ones."""
    random = Random(1)
    for _ in range(300):
        limit = random.randint(1, 300)
        start, threshold = random.randint(1, limit), random.randint(0, limit + 2)

        def does_fit(size: int, threshold: int = threshold) -> bool:
            return size <= threshold

        found, tried = search(start, limit, does_fit, {})
        for place in range(len(tried) + 1):
            known = {size: does_fit(size) for size in tried[:place]}
            assert len(tried) - place <= most_trials(start, limit, known)
            assert search(start, limit, does_fit, dict(known)) == (found, tried[place:])


def test_trials_of_other_searches_count() -> None:
    """Of another start, of another limit, or both."""
    known = {4: True, 8: True, 16: False, 12: True, 14: False, 13: True}
    assert largest(256, known) == 13
    assert largest(8, known) == 8
    assert largest(13, known) == 13
    assert largest(10, {12: True}) == 10, "less than what fits also fits"
    assert search(1, 64, lambda size: size <= 21, {32: False, 8: True}) == (21, [20, 26, 23, 21, 22])


def test_fragmented_memory_that_lets_a_larger_size_fit_is_not_counted_on() -> None:
    assert largest(64, {8: True, 9: False, 12: True}) == 8
