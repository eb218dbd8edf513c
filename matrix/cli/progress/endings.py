"""How the runs of a sweep ended, as far as `status` says it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

from bench.contract.results.outcomes import Outcome
from matrix.errors import InputError
from matrix.store.sweep_folder import SweepFolder

FEWEST_APART = 5_000
"""Results from which on several processes read them; fewer take less time than these take to start."""


class Ending(NamedTuple):
    """What a run's result says without its figures, of which a large sweep has gigabytes."""

    outcome: Outcome
    reason: str
    attempt: int
    seconds: float
    job: str | None


Endings = tuple[dict[str, Ending], dict[str, str]]
"""By run id: how runs ended, and for each whose result a newer xffl-bench wrote the sentence that says so."""


@contextmanager
def begun_reading(folder: SweepFolder, run_ids: Collection[str]) -> Iterator[Callable[[Iterable[str]], Endings]]:
    """Give a function that returns the endings of some of these runs, in their order.

    Of a large sweep several processes read the results of all, while this one does other work.
    """
    from reports.data.apart import KilledError, begun, processes

    count = processes()
    if count == 1 or len(run_ids) < FEWEST_APART:
        yield partial(endings, folder)
        return
    ids = list(run_ids)
    with begun(lambda first: endings(folder, ids[first::count]), range(count)) as parts:
        try:
            yield partial(_together, parts)
        except KilledError as error:
            raise InputError(str(error)) from error


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
            job = result.allocation.job if result.allocation is not None else None
            found[run_id] = Ending(result.outcome, result.reason, result.attempt, result.seconds, job)
    return found, newer
