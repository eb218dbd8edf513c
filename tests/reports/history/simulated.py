"""Simulated nights with known truth: 12 combinations of 3 repeats, each run's throughput with noise of 2 %."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reports.history.history import history_of
from reports.history.levels import Level, MeasuredNight

COMBINATIONS = 12
REPEATS = 3
NOISE = 0.02
FIRST_LOOK = 4
"""Nights of the shortest history that can have a change."""


@dataclass
class Count:
    """What a maintainer would have been told.

    Attributes:
        false: changes of level where there were none.
        found_after: for each planted change, by how many nights later it was told; None if it was not.

    """

    false: int
    found_after: list[int | None]


def simulate(random: np.random.Generator, nights: int, *, slower_from: int | None = None, slower: int = 0) -> Count:
    """Look at the history every morning; from a night on, the first combinations are 5 % slower."""
    levels = random.normal(0, NOISE, (nights, COMBINATIONS, REPEATS)).mean(axis=2)
    if slower_from is not None:
        levels[slower_from:, :slower] -= np.log(1.05)
    measured = [_night(index, row) for index, row in enumerate(1000 * np.exp(levels))]
    false: set[tuple[int, int]] = set()
    found: dict[int, int] = {}
    for count in range(FIRST_LOOK if slower_from is None else slower_from + 1, nights + 1):
        for change in history_of(measured[:count]).changes:
            combination = int(change.labels["nodes"])
            is_planted = slower_from is not None and combination < slower and abs(change.night - slower_from) <= 1
            if is_planted and slower_from is not None:
                found.setdefault(combination, count - slower_from)
            elif all(abs(change.night - other) > 1 for which, other in false if which == combination):
                false.add((combination, change.night))
    return Count(len(false), [found.get(combination) for combination in range(slower)])


def _night(index: int, speeds: np.ndarray) -> MeasuredNight:
    levels = [
        Level(
            {"nodes": combination},
            {"tokens_per_s": {0: float(speed)}, "peak_memory_gib": {0: 5.0}, "loss_validation": {0: 2.5, 1: 2.6}},
            {},
            {},
        )
        for combination, speed in enumerate(speeds)
    ]
    return MeasuredNight(Path(f"night{index}"), f"{index:03d}", ["nodes"], levels, [])
