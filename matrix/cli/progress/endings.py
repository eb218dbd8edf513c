"""How the runs of a sweep ended, as far as `status` says it."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

from bench.contract.results.outcomes import Outcome
from matrix.errors import InputError
from matrix.store.sweep_folder import SweepFolder

FEWEST_APART = 5_000
"""Results from which on several processes read them; fewer take less time than these take to start."""
_MOST_PROCESSES = 4


class Ending(NamedTuple):
    """What a run's result says without its figures, of which a large sweep has gigabytes."""

    outcome: Outcome
    reason: str
    attempt: int
    seconds: float


Endings = tuple[dict[str, Ending], dict[str, str]]
"""By run id: how runs ended, and for each whose result a newer xffl-bench wrote the sentence that says so."""


@contextmanager
def begun_reading(folder: SweepFolder, run_ids: Collection[str]) -> Iterator[Callable[[Iterable[str]], Endings]]:
    """Give a function that returns the endings of some of these runs, in their order.

    Of a large sweep several processes read the results of all, while this one does other work.
    """
    processes = min(len(os.sched_getaffinity(0)), _MOST_PROCESSES)
    if processes == 1 or len(run_ids) < FEWEST_APART:
        yield partial(endings, folder)
        return
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    # Forked, as this process has no threads, and what it has imported need not be imported again.
    with ProcessPoolExecutor(processes, get_context("fork")) as pool:
        ids = list(run_ids)
        parts = pool.map(partial(endings, folder), (ids[first::processes] for first in range(processes)))
        yield partial(_together, parts)


def _together(parts: Iterable[Endings], run_ids: Iterable[str]) -> Endings:
    found: dict[str, Ending] = {}
    newer: dict[str, str] = {}
    for of_part, newer_of_part in parts:
        found |= of_part
        newer |= newer_of_part
    ids = list(run_ids)
    return {each: found[each] for each in ids if each in found}, {each: newer[each] for each in ids if each in newer}


def endings(folder: SweepFolder, run_ids: Iterable[str]) -> Endings:
    """Read the results of runs; those without one are left out."""
    found: dict[str, Ending] = {}
    newer: dict[str, str] = {}
    for run_id in run_ids:
        try:
            result = folder.result(run_id)
        except InputError as error:
            newer[run_id] = str(error)
            continue
        if result is not None:
            found[run_id] = Ending(result.outcome, result.reason, result.attempt, result.seconds)
    return found, newer
