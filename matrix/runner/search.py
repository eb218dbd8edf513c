"""Search for the largest batch size that fits: trials before the first repeat of a combination, each made once.

Jobs that run repeats of one combination at the same time take turns: the second finds what the first has tried.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.contract.results.outcomes import Outcome
from bench.contract.results.result import Result
from bench.contract.run import Run, Search
from matrix.runner.attempts import Attempts
from matrix.store.claim import Claim, Runner, claim
from matrix.store.judge import Verdict
from matrix.store.largest import largest, next_trial
from matrix.store.settle import settled
from matrix.store.sweep_folder import SweepFolder
from matrix.store.trials import decided, decisions, fits, results, search_of, started, trial_of, undecided

TRIES = 2
"""Attempts at a trial that may fail without telling whether the batch size fits."""


@dataclass(frozen=True)
class Sought:
    """What a search has found.

    Attributes:
        run: the run with its batch size: the largest that fits, or with a failure the one that failed.
        failure: outcome of the run if there is no such size, or if it cannot be known.
        left: why the search could not be finished now, else "".

    """

    run: Run
    failure: Verdict | None = None
    left: str = ""


class Searches:
    """Finds the batch sizes of one runner's runs.

    Args:
        claim: claim of the runner, by which trials are written.
        say: shows a sentence.
        hindrance: as `SweepRunner`, asked before each trial.

    """

    def __init__(
        self,
        sweep: SweepFolder,
        attempts: Attempts,
        claim: Claim,
        say: Callable[[str], None],
        hindrance: Callable[[Run], str],
    ) -> None:
        self._sweep = sweep
        self._attempts = attempts
        self._claim = claim
        self._say = say
        self._hindrance = hindrance
        self._forgiven: dict[str, int] = {}

    def sought(self, run: Run, *, retry_failed: bool) -> Sought:
        """Return a run with the batch size that it is to be trained with, searching if it is unknown.

        Args:
            retry_failed: whether trials that failed in earlier calls are tried again.

        Raises:
            KeyboardInterrupt, StuckError, LostHostError, LostClaimError, OSError: as `SweepRunner.run_all`.

        """
        if run.search is None:
            return Sought(run)
        if largest(run.search.limit, decided(self._sweep, run)) is None:
            with claim(self._sweep.search(search_of(run)), self._wait) as turn:
                unfinished = self._search(run, run.search, turn, retry_failed=retry_failed)
            if unfinished is not None:
                return unfinished
        return self._found(run, run.search)

    def _search(self, run: Run, search: Search, turn: Claim, *, retry_failed: bool) -> Sought | None:
        """Try batch sizes until the largest is known; return why it is not."""
        self._settle(run)
        while largest(search.limit, known := decided(self._sweep, run)) is None:
            trial = trial_of(run, next_trial(search.start, search.limit, known))
            failed = undecided(self._sweep, trial)
            forgiven = self._forgiven.setdefault(trial.id, len(failed) if retry_failed else 0)
            if len(failed) - forgiven >= TRIES:
                return Sought(_at(run, trial.batch_size), _unknown(failed))
            if left := self._hindrance(run):
                return Sought(run, left=left)
            turn.check()
            self._attempts.make(trial, self._sweep.trial(trial.id), self._show)
        return None

    def _settle(self, run: Run) -> None:
        """Judge the trials that a dead runner left."""
        settled(map(self._sweep.trial, started(self._sweep, run).values()), claim=self._claim)

    def _found(self, run: Run, search: Search) -> Sought:
        found = results(self._sweep, run)
        size = largest(search.limit, decisions(found))
        assert size is not None
        if size == 0:
            return Sought(_at(run, 1), Verdict(Outcome.OOM, f"no batch size fits in memory: {_why(found[1])}"))
        return Sought(_at(run, size))

    def _show(self, result: Result) -> None:
        said = {True: "fits", False: f"does not fit: {_why(result)}", None: f"{result.outcome}: {result.reason}"}
        self._say(f"trial {result.run}  {result.seconds:.1f} s  {said[fits(result)]}")

    def _wait(self, other: Runner) -> None:
        self._say(f"process {other.pid} on {other.host} is searching for this batch size; waiting for it")


def _at(run: Run, size: int) -> Run:
    return run.model_copy(update={"batch_size": size})


def _why(result: Result) -> str:
    """Return why a trial does not fit."""
    return f"{result.run}: {result.reason or 'the allocator freed its cache and tried again'}"


def _unknown(failed: list[Result]) -> Verdict:
    last = failed[-1]
    reason = f"the largest batch size is unknown: {last.run} failed {len(failed)} times: {last.reason}"
    return Verdict(last.outcome, reason, last.evidence)
