"""How long a run is expected to take: what node-hours are estimated and jobs are packed by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from bench.contract.outcomes import Outcome
from bench.contract.result import Result
from bench.contract.run import Run

ROOM = 1.5
"""A run gets this many times the longest that its repeats took."""


class Expected:
    """By the results of the run's repeats, as they are when it is asked."""

    def __init__(self, result: Callable[[str], Result | None], runs: Sequence[Run]) -> None:
        self._result = result
        self._repeats = defaultdict[str, list[str]](list)
        for run in runs:
            self._repeats[_combination(run)].append(run.id)

    def seconds(self, run: Run) -> float:
        """Wall time of the run, never more than its limit."""
        found = map(self._result, self._repeats[_combination(run)])
        ended = [each for each in found if each is not None and each.outcome is Outcome.COMPLETED]
        taken = [each.seconds for each in ended if each.seconds]  # 0 where its runner did not live to see its end
        limits = run.limits
        guess = ROOM * max(taken) if taken else limits.expected_seconds or limits.run_seconds
        return min(guess, limits.run_seconds)


def _combination(run: Run) -> str:
    return repr(sorted(run.labels.items()))
