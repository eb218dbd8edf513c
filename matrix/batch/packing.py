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
from matrix.planning.order import by_nodes

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


def pack(
    runs: Sequence[Run], repeats: int, seconds: Callable[[Run], float], settings: BatchSettings, block: str
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
        block: block of the system file that the settings are in, for messages.

    Raises:
        InputError: a run does not fit in a job.

    """
    budget = 60 * settings.job_minutes - _overhead(settings)
    for run in runs:
        if seconds(run) > budget:
            raise InputError(
                f"{block}.job_minutes: {settings.job_minutes} minutes are too short for {run.id}, which may take "
                f"{seconds(run):g} s plus {_overhead(settings):g} s of overhead: raise {block}.job_minutes, or "
                "lower limits.expected_seconds or limits.run_seconds of the matrix"
            )
    together = [list(runs)] if settings.nested else _by_node_count(runs)
    return [
        _job(part, seconds, settings)
        for group in together
        for share in _shares(group, repeats, seconds, settings.allocations, budget)
        for part in _parts(share, seconds, budget)
    ]


def _by_node_count(runs: Sequence[Run]) -> list[list[Run]]:
    return [list(same) for _, same in groupby(by_nodes(runs), key=lambda run: run.nodes)]


def _job(runs: list[Run], seconds: Callable[[Run], float], settings: BatchSettings) -> JobPack:
    nodes = max(run.nodes for run in runs)
    idle = sum((nodes - run.nodes) * seconds(run) for run in runs)
    return JobPack(nodes, tuple(runs), _minutes(sum(map(seconds, runs)), settings), idle / 3600)


def _shares(
    runs: list[Run], repeats: int, seconds: Callable[[Run], float], fewest: int, budget: float
) -> list[list[Run]]:
    """Divide runs by their repeat into at least `fewest` shares, and into more until each fits in a job.

    If a single repeat does not fit, each repeat is a share.
    """
    shares: list[list[Run]] = []
    for count in range(min(fewest, repeats), repeats + 1):
        by_index = defaultdict[int, list[Run]](list)
        for run in runs:
            by_index[min(run.repeat, repeats - 1) * count // repeats].append(run)  # more breakdown runs than repeats
        shares = [by_index[index] for index in sorted(by_index)]
        if all(sum(map(seconds, share)) <= budget for share in shares):
            break
    return shares


def _parts(share: list[Run], seconds: Callable[[Run], float], budget: float) -> Iterator[list[Run]]:
    """Divide a share into parts that fit in a job, run by run."""
    part: list[Run] = []
    taken = 0.0
    for run in share:
        if part and taken + seconds(run) > budget:
            yield part
            part, taken = [], 0.0
        part.append(run)
        taken += seconds(run)
    if part:
        yield part


def _overhead(settings: BatchSettings) -> float:
    return BEGIN + EARLY + settings.warn_seconds


def _minutes(seconds: float, settings: BatchSettings) -> int:
    return min(settings.job_minutes, math.ceil((seconds + _overhead(settings)) / 60))
