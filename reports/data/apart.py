"""Work in processes of its own, which are forked: they have all that this one has, and send back what they return."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any, TypeVar, cast

from reports.data.faults import ReportError

Argument = TypeVar("Argument")
Returned = TypeVar("Returned")

_MOST = 4


class KilledError(ReportError):
    """A process was killed before it had sent back what it was to return."""


def processes() -> int:
    """Return how many processes are worth starting: 1 on one core."""
    return min(len(os.sched_getaffinity(0)), _MOST)


@contextmanager
def begun(
    work: Callable[[Argument], Returned], arguments: Sequence[Argument], *, fewest: int = 1, niceness: int = 0
) -> Iterator[Iterator[Returned]]:
    """Let processes do the work for each argument while this one goes on, and give what it returns, in their order.

    Only arguments and what is returned are sent; `work` itself is inherited. On one core this process does it itself,
    when it is asked for what is returned.

    Args:
        fewest: arguments from which on processes are worth their start; for fewer it is as on one core.
        niceness: how far they let this process go first, as `nice` counts it.

    Raises:
        KilledError: by the iterator, when a process was killed.

    """
    if processes() == 1 or len(arguments) < max(fewest, 1):
        yield map(work, arguments)
        return

    def returned(future: Future[Returned]) -> Returned:
        try:
            return future.result()
        except BrokenProcessPool as error:
            raise KilledError(
                "a process that this one had started was killed, perhaps because memory ran out: try again with more"
            ) from error

    with ProcessPoolExecutor(min(processes(), len(arguments)), get_context("fork"), _inherit, (work, niceness)) as pool:
        futures: list[Future[Returned]] = [
            pool.submit(cast("Callable[[Argument], Returned]", _do), argument) for argument in arguments
        ]
        try:
            yield map(returned, futures)
        finally:
            pool.shutdown(cancel_futures=True)


_inherited: Callable[[Any], object]


def _inherit(work: Callable[[Any], object], niceness: int) -> None:
    global _inherited  # noqa: PLW0603 - of a process that is forked for this work
    _inherited = work
    os.nice(niceness)


def _do(argument: object) -> object:
    return _inherited(argument)
