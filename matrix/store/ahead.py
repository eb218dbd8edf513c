"""Trials of batch sizes that are still ahead, and how long they may take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.contract.results.result import Result
from bench.contract.run import Run, Search
from matrix.store.estimate import ROOM
from matrix.store.largest import most_trials
from matrix.store.sweep_folder import SweepFolder
from matrix.store.trials import decisions, results, search_of


@dataclass(frozen=True)
class Ahead:
    """The rest of a search.

    Attributes:
        search: name of the search, which the repeats of a combination share.
        trials: largest number of trials.
        seconds: estimated wall time of all of them.

    """

    search: str = ""
    trials: int = 0
    seconds: float = 0.0


NOTHING = Ahead()

Searching = Callable[[Run], Ahead]
"""Returns what is ahead before a run."""


def nothing(run: Run) -> Ahead:
    """Return what is ahead before a run whose batch size is given."""
    return NOTHING


def searching(sweep: SweepFolder) -> Searching:
    """Return a function that reads what is ahead before a run."""
    return lambda run: NOTHING if run.search is None else _ahead(run, run.search, results(sweep, run))


def _ahead(run: Run, search: Search, tried: Mapping[int, Result]) -> Ahead:
    decided = decisions(tried)
    trials = most_trials(search.start, search.limit, decided)
    if not trials:
        return NOTHING
    limits = run.limits
    taken = [tried[size].seconds for size in decided]
    one = ROOM * max(taken) if any(taken) else limits.trial_seconds or limits.expected_seconds or limits.run_seconds
    return Ahead(search_of(run), trials, trials * min(one, limits.run_seconds))
