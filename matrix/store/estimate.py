"""Estimate how long a run takes, to estimate node-hours and pack jobs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from bench.contract.results.outcomes import Outcome
from bench.contract.results.result import Result
from bench.contract.run import Run

ROOM = 1.5
"""Estimated time of a run, as a multiple of the longest time of its repeats."""


class Expected:
    """Estimates from the current results of a run's repeats."""

    def __init__(self, result: Callable[[str], Result | None], runs: Sequence[Run]) -> None:
        self._result = result
        self._repeats = defaultdict[str, list[str]](list)
        for run in runs:
            self._repeats[_combination(run)].append(run.id)

    def seconds(self, run: Run) -> float:
        """Return the estimated wall time of a run in seconds, at most its limit."""
        found = map(self._result, self._repeats[_combination(run)])
        ended = [each for each in found if each is not None and each.outcome is Outcome.COMPLETED]
        taken = [each.seconds for each in ended if each.seconds]  # 0 if its runner died before the run ended
        limits = run.limits
        guess = ROOM * max(taken) if taken else limits.expected_seconds or limits.run_seconds
        return min(guess, limits.run_seconds)


def _combination(run: Run) -> str:
    return repr(sorted(run.labels.items()))
