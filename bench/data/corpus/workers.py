"""A pool of worker processes that die with their parent."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Self, TypeVar

from bench.data.corpus.errors import WorkerLostError
from bench.host.process import end_with

Given = TypeVar("Given")
Made = TypeVar("Made")


def _begin(parent: int) -> None:
    end_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent terminates its workers
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the processes are the parallelism


class Workers:
    """A pool of spawned processes (forking would copy a process with threads). Use as a context manager."""

    def __init__(self, processes: int) -> None:
        self._safe_path = os.environ.get("PYTHONSAFEPATH")
        os.environ["PYTHONSAFEPATH"] = "1"  # spawned workers take no code from the working directory
        self._others = set(multiprocessing.active_children())
        self._pool = ProcessPoolExecutor(
            processes,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_begin,
            initargs=(os.getpid(),),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:  # unfinished work is repeated by the next command
            self._pool.shutdown(wait=False, cancel_futures=True)
            for process in set(multiprocessing.active_children()) - self._others:
                process.terminate()
        self._pool.shutdown()
        if self._safe_path is None:
            os.environ.pop("PYTHONSAFEPATH", None)
        else:
            os.environ["PYTHONSAFEPATH"] = self._safe_path

    def each(self, function: Callable[[Given], Made], given: Iterable[Given]) -> Iterator[Made]:
        """Yield the results in the order of completion.

        Raises:
            WorkerLostError: a process was killed.

        """
        try:
            for future in as_completed([self._pool.submit(function, one) for one in given]):
                yield future.result()
        except BrokenProcessPool as error:
            raise WorkerLostError(
                "a worker process was killed, perhaps because memory ran out: "
                "run the same command again to resume, with fewer --workers"
            ) from error
