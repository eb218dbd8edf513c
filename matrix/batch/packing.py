"""Division of runs into jobs."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from bench.contract.run import Run
from matrix.config.settings.batch import BatchSettings
from matrix.errors import InputError
from matrix.planning.combinations.order import by_nodes
from matrix.store.ahead import Searching, nothing

BEGIN = 60.0
"""Seconds of a job before its first run: modules, host checks, preflight."""

EARLY = 60.0
"""Seconds by which the warning signal may come too early (sbatch's manual, --signal)."""


@dataclass(frozen=True)
class JobPack:
    """Runs of one job.

    Attributes:
        nodes: nodes of its largest run.
        minutes: time limit of the job.
        idle_hours: node-hours in which nodes idle during smaller runs, if each run takes the estimated time.

    """

    nodes: int
    runs: tuple[Run, ...]
    minutes: int
    idle_hours: float

    @property
    def node_hours(self) -> float:
        """Maximum cost of the job."""
        return self.nodes * self.minutes / 60


class _Times:
    """Estimated wall times of runs in one job, in which each search for a batch size is made once, before a run.

    Args:
        seconds: wall time of a run without its search.
        ahead: the search before it.

    """

    def __init__(self, seconds: Callable[[Run], float], ahead: Searching) -> None:
        self._seconds = seconds
        self._ahead = ahead

    def each(self, runs: Sequence[Run]) -> Iterator[tuple[Run, float]]:
        """Yield the runs of a job with their times."""
        searched: set[str] = set()
        for run in runs:
            yield run, self.next(run, searched)

    def next(self, run: Run, searched: set[str]) -> float:
        """Return the time of a run after those whose searches are `searched`, and add its own."""
        ahead = self._ahead(run)
        search = 0.0 if ahead.search in searched else ahead.seconds
        searched.add(ahead.search)
        return self._seconds(run) + search

    def total(self, runs: Sequence[Run]) -> float:
        """Return the time of all runs of a job."""
        return sum(time for _, time in self.each(runs))


def pack(
    runs: Sequence[Run],
    repeats: int,
    seconds: Callable[[Run], float],
    settings: BatchSettings,
    block: str,
    ahead: Searching = nothing,
) -> list[JobPack]:
    """Divide runs into jobs.

    Jobs are sorted by node count, so that an interrupted sweep has complete comparisons. Where it fits, a repeat of all
    combinations shares a job, because paired comparisons need the same allocation. Different repeats are spread over
    jobs, because comparisons of node counts need several allocations of each. With `nested`, a repeat of all
    combinations includes all node counts. Within a job the order is kept.

    Args:
        repeats: repeats of the sweep, whether or not runs of all are left: a repeat's job follows from its index, so
            that runs that are left, or submitted later, are divided as all would be, unless only fewer of them fit in
            `allocations` jobs.
        seconds: estimated wall time of a run.
        ahead: the search for a batch size before a run. Jobs that wait for nodes begin in any order, so each job with
            runs of a combination has time for its search.
        block: block of the system file that the settings are in, for messages.

    Raises:
        InputError: a run does not fit in a job.

    """
    budget = 60 * settings.job_minutes - _overhead(settings)
    times = _Times(seconds, ahead)
    for run in runs:
        if times.total([run]) > budget:
            trials = ahead(run).trials
            raise InputError(
                f"{block}.job_minutes: {settings.job_minutes} minutes are too short for {run.id}, which may take "
                f"{times.total([run]):g} s{f', {trials} trials of its batch size included,' * bool(trials)} plus "
                f"{_overhead(settings):g} s of overhead: raise {block}.job_minutes, or lower "
                f"{'limits.trial_seconds, ' * bool(trials)}limits.expected_seconds or limits.run_seconds of the matrix"
            )
    together = [list(runs)] if settings.nested else _by_node_count(runs)
    return [
        _job(part, times, settings)
        for group in together
        for share in _shares(group, repeats, times, settings.allocations, budget)
        for part in _parts(share, times, budget)
    ]


def _by_node_count(runs: Sequence[Run]) -> list[list[Run]]:
    return [list(same) for _, same in groupby(by_nodes(runs), key=lambda run: run.nodes)]


def _job(runs: list[Run], times: _Times, settings: BatchSettings) -> JobPack:
    nodes = max(run.nodes for run in runs)
    idle = sum((nodes - run.nodes) * time for run, time in times.each(runs))
    return JobPack(nodes, tuple(runs), _minutes(times.total(runs), settings), idle / 3600)


def _shares(runs: list[Run], repeats: int, times: _Times, fewest: int, budget: float) -> list[list[Run]]:
    """Divide runs by their repeat into at least `fewest` shares, and into more until each fits in a job.

    If a single repeat does not fit, each repeat is a share.
    """
    shares: list[list[Run]] = []
    for count in range(min(fewest, repeats), repeats + 1):
        by_index = defaultdict[int, list[Run]](list)
        for run in runs:
            by_index[min(run.repeat, repeats - 1) * count // repeats].append(run)  # more breakdown runs than repeats
        shares = [by_index[index] for index in sorted(by_index)]
        if all(times.total(share) <= budget for share in shares):
            break
    return shares


def _parts(share: list[Run], times: _Times, budget: float) -> Iterator[list[Run]]:
    """Divide a share into parts that fit in a job, run by run."""
    part: list[Run] = []
    taken, searched = 0.0, set[str]()
    for run in share:
        time = times.next(run, searched)
        if part and taken + time > budget:
            yield part
            part, taken, searched = [], 0.0, set()
            time = times.next(run, searched)
        part.append(run)
        taken += time
    if part:
        yield part


def _overhead(settings: BatchSettings) -> float:
    return BEGIN + EARLY + settings.warn_seconds


def _minutes(seconds: float, settings: BatchSettings) -> int:
    return min(settings.job_minutes, math.ceil((seconds + _overhead(settings)) / 60))
