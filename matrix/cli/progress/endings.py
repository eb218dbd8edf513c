"""How the runs of a sweep ended, as far as `status` says it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
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


def endings(folder: SweepFolder, run_ids: Iterable[str]) -> Endings:
    """Read the results of runs, those of a large sweep in several processes; runs without a result are left out."""
    ids = list(run_ids)
    processes = min(len(os.sched_getaffinity(0)), _MOST_PROCESSES) if len(ids) >= FEWEST_APART else 1
    if processes == 1:
        return _read(folder, ids)
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    size = -(-len(ids) // processes)
    parts = [ids[begin : begin + size] for begin in range(0, len(ids), size)]
    found: dict[str, Ending] = {}
    newer: dict[str, str] = {}
    # Forked, as this process has no threads, and what it has imported need not be imported again.
    with ProcessPoolExecutor(processes, get_context("fork")) as pool:
        for of_part, newer_of_part in pool.map(partial(_read, folder), parts):
            found |= of_part
            newer |= newer_of_part
    return found, newer


def _read(folder: SweepFolder, run_ids: Sequence[str]) -> Endings:
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
