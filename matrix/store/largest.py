"""Search for the largest batch size that fits: doubling from a start until one does not fit, then bisection.

The next trial follows from the decided ones, so a search can be continued after any trial, and shares trials with
searches of another start or limit.
"""

from __future__ import annotations

from collections.abc import Mapping

Decided = Mapping[int, bool]
"""Whether it fits, by batch size, of those that were tried."""


def largest(limit: int, decided: Decided) -> int | None:
    """Return the largest batch size up to `limit` that fits, 0 if none does; None if that is not known yet."""
    fits, fails = _bracket(limit, decided)
    if fits == limit or (fails is not None and fails - fits == 1):
        return fits
    return None


def next_trial(start: int, limit: int, decided: Decided) -> int:
    """Return the batch size to try next while `largest` is unknown."""
    fits, fails = _bracket(limit, decided)
    return (fits + fails) // 2 if fails is not None else _doubled(start, limit, fits)


def most_trials(start: int, limit: int, decided: Decided) -> int:
    """Return the largest number of trials until `largest` is known."""
    fits, fails = _bracket(limit, decided)
    if fails is not None:
        return _bisections(fits, fails)
    most = doublings = 0
    while fits < limit:
        tried = _doubled(start, limit, fits)
        doublings += 1
        most = max(most, doublings + _bisections(fits, tried))
        fits = tried
    return max(most, doublings)


def _bracket(limit: int, decided: Decided) -> tuple[int, int | None]:
    """Return the largest batch size that fits, 0 without one, and the smallest that does not, up to the limit.

    A size that fits although a smaller one did not is not counted on: fragmented memory can do that.
    """
    fails = min((size for size, fits in decided.items() if not fits and size <= limit), default=None)
    known = (min(size, limit) for size, fits in decided.items() if fits and (fails is None or size < fails))
    return max(known, default=0), fails


def _doubled(start: int, limit: int, fits: int) -> int:
    return min(limit, max(start, 2 * fits))


def _bisections(fits: int, fails: int) -> int:
    """Return ceil(log2(fails - fits)), the trials that leave no size between the two."""
    return (fails - fits - 1).bit_length()
