"""Reading weights and data into the page cache while a rank is still setting up, so that nobody waits for the disk."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from bench.contract.run import Run
from bench.contract.weightfiles import weight_files

logger = logging.getLogger(__name__)

_PIECE = 2**20  # bytes read at once; they count in the rank's peak memory


class Preload:
    """Reads a run's files once, one after the other, in a thread of its own that begins at once.

    What it cannot read is logged and left to those who need it: they say what is wrong, or can do without.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._thread = threading.Thread(target=self._work, name="preload", daemon=True)
        self._thread.start()

    def wait(self, alive: Callable[[], None]) -> None:
        """Return when all is read; `alive` is called meanwhile, for whoever watches for a hang."""
        while self._thread.is_alive():
            alive()
            self._thread.join(timeout=0.1)

    def _work(self) -> None:
        begin, done = time.perf_counter(), 0
        room = psutil.virtual_memory().available  # more would push out what was read first
        try:
            for path in files(self._run):
                size = path.stat().st_size
                if done + size > room:
                    logger.warning("preload stops before %s: %d bytes were available and %d are read", path, room, done)
                    return
                _read(path)
                done += size
        except (OSError, ValueError) as error:
            logger.warning("preload ended after %d bytes: %s", done, error)
            return
        logger.info("preload: %d bytes in %.2f s", done, time.perf_counter() - begin)


def preload(run: Run, local_rank: int) -> Preload | None:
    """Begin to read, on local rank 0 of a run that asks for it."""
    return Preload(run) if run.training.preload and local_rank == 0 else None


def files(run: Run) -> list[Path]:
    """What a run will read: its weights, then the samples that it trains on.

    Raises:
        FileNotFoundError, ValueError: the weights are not whole.

    """
    weights = weight_files(Path(run.weights)) if run.weights is not None else []
    # `save_to_disk` calls them so; what else lies there are caches of `datasets`.
    return weights + sorted((Path(run.data) / "train").glob("data-*.arrow"))


def _read(path: Path) -> None:
    piece = bytearray(_PIECE)
    with path.open("rb", buffering=0) as file:
        while file.readinto(piece):
            pass
