"""Reading weights and data into the page cache during a rank's set-up, so that later reads do not wait for the disk."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from bench.contract.run import Run
from bench.contract.storage.weightfiles import weight_files

logger = logging.getLogger(__name__)

_PIECE = 2**20  # bytes per read; counts towards the rank's peak memory


class Preload:
    """A background thread that reads a run's files once, one after the other; starts immediately.

    Errors are only logged: whoever needs the file reports what is wrong, or works without it.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._thread = threading.Thread(target=self._work, name="preload", daemon=True)
        self._thread.start()

    def wait(self, alive: Callable[[], None]) -> None:
        """Wait until everything is read, calling `alive` meanwhile, so that the wait does not count as a hang."""
        while self._thread.is_alive():
            alive()
            self._thread.join(timeout=0.1)

    def _work(self) -> None:
        begin, done = time.perf_counter(), 0
        room = psutil.virtual_memory().available  # more would evict what was read first
        try:
            for path in files(self._run):
                size = path.stat().st_size
                if done + size > room:
                    logger.warning("preload stops before %s: %d bytes were available, %d were read", path, room, done)
                    return
                _read(path)
                done += size
        except (OSError, ValueError) as error:
            logger.warning("preload ended after %d bytes: %s", done, error)
            return
        logger.info("preload: %d bytes in %.2f s", done, time.perf_counter() - begin)


def preload(run: Run, local_rank: int) -> Preload | None:
    """Start reading, if the run asks for it and this is local rank 0."""
    return Preload(run) if run.training.preload and local_rank == 0 else None


def files(run: Run) -> list[Path]:
    """Return the files that a run reads: its weights, then its training samples.

    Raises:
        FileNotFoundError, ValueError: the weights are incomplete.

    """
    weights = weight_files(Path(run.weights)) if run.weights is not None else []
    # Names given by `save_to_disk`; other files in the folder are caches of `datasets`.
    return weights + sorted((Path(run.data) / "train").glob("data-*.arrow"))


def _read(path: Path) -> None:
    piece = bytearray(_PIECE)
    with path.open("rb", buffering=0) as file:
        while file.readinto(piece):
            pass
