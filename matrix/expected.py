"""How long a run is expected to take: what node-hours are estimated and jobs are packed by."""

from __future__ import annotations

from collections.abc import Callable

from bench.contract import Result, Run
from bench.outcomes import Outcome

ROOM = 1.5
"""A run gets this many times the longest that its repeats took."""


class Expected:
    """Learns from the runs that completed."""

    def __init__(self, result: Callable[[str], Result | None], runs: list[Run]) -> None:
        self._taken: dict[str, float] = {}
        for run in runs:
            found = result(run.id)
            if found is not None:
                self.learn(run, found)

    def learn(self, run: Run, result: Result) -> None:
        """Take a result into account."""
        if result.outcome is Outcome.COMPLETED:
            name = _combination(run)
            self._taken[name] = max(result.seconds, self._taken.get(name, 0.0))

    def seconds(self, run: Run) -> float:
        """Wall time of the run, never more than its limit."""
        limits = run.limits
        taken = self._taken.get(_combination(run))
        guess = (limits.expected_seconds or limits.run_seconds) if taken is None else ROOM * taken
        return min(guess, limits.run_seconds)


def _combination(run: Run) -> str:
    return repr(sorted(run.labels.items()))
