"""Division of runs into jobs."""

from __future__ import annotations

import math
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
        minutes: time limit of the job.

    """

    nodes: int
    runs: tuple[Run, ...]
    minutes: int

    @property
    def node_hours(self) -> float:
        """Maximum cost of the job."""
        return self.nodes * self.minutes / 60


def pack(runs: Sequence[Run], seconds: Callable[[Run], float], settings: BatchSettings, block: str) -> list[JobPack]:
    """Divide runs into jobs.

    Jobs are sorted by node count, so that an interrupted sweep has complete comparisons. Where it fits, a repeat of all
    combinations shares a job, because paired comparisons need the same allocation. Within a job the order is kept.

    Args:
        block: block of the system file that the settings are in, for messages.

    Raises:
        InputError: a run does not fit in a job.

    """
    return [
        JobPack(nodes, tuple(part), _minutes(sum(map(seconds, part)), settings))
        for nodes, same in groupby(by_nodes(runs), key=lambda run: run.nodes)
        for part in _parts(list(same), seconds, settings, block)
    ]


def _parts(
    runs: list[Run], seconds: Callable[[Run], float], settings: BatchSettings, block: str
) -> Iterator[list[Run]]:
    budget = 60 * settings.job_minutes - _overhead(settings)
    part: list[Run] = []
    for _, repeat in groupby(runs, key=lambda run: run.repeat):
        whole = list(repeat)
        if part and _together(part + whole, seconds) > budget:
            yield part
            part = []
        for run in whole:
            if seconds(run) > budget:
                raise InputError(
                    f"{block}.job_minutes: {settings.job_minutes} minutes are too short for {run.id}, which may take "
                    f"{seconds(run):g} s plus {_overhead(settings):g} s of overhead: raise {block}.job_minutes, or "
                    "lower limits.expected_seconds or limits.run_seconds of the matrix"
                )
            if part and _together([*part, run], seconds) > budget:
                yield part
                part = []
            part.append(run)
    if part:
        yield part


def _together(runs: list[Run], seconds: Callable[[Run], float]) -> float:
    return sum(map(seconds, runs))


def _overhead(settings: BatchSettings) -> float:
    return BEGIN + EARLY + settings.warn_seconds


def _minutes(seconds: float, settings: BatchSettings) -> int:
    return min(settings.job_minutes, math.ceil((seconds + _overhead(settings)) / 60))
