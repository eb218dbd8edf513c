"""Progress of a rank: a heartbeat file while it runs, a report when it ends."""

from __future__ import annotations

import logging
import time
from typing import Protocol

from bench.contract.files import AttemptFolder, write_document
from bench.contract.result import Heartbeat, RankEnd

logger = logging.getLogger(__name__)

BEAT_EVERY = 0.5  # minimum seconds between two writes, so that a heartbeat costs nothing in a window


class Watcher(Protocol):
    """Receiver of progress reports from the training."""

    def finished(self, step: int) -> None:
        """Report that an optimizer step is done; 0 is the first."""

    def alive(self) -> None:
        """Report progress within a long phase."""


class Progress:
    """Progress of one rank. Rank 0 writes the heartbeat, from the training's own thread, so that a hang stops it."""

    def __init__(self, folder: AttemptFolder, rank: int, steps: int) -> None:
        self._folder = folder
        self._rank = rank
        self._steps = steps
        self._last_beat = 0.0
        self.phase = "rendezvous"
        self.step = -1

    def enter(self, phase: str) -> None:
        """Begin a new phase."""
        self.phase = phase
        logger.info("%s", phase)
        self._beat(force=True)

    def finished(self, step: int) -> None:
        """Report that an optimizer step is done; 0 is the first."""
        self.step = step
        logger.debug("step %d of %d is done", step + 1, self._steps)
        self._beat(force=step == 0)

    def alive(self) -> None:
        """Report progress within a long phase."""
        self._beat(force=False)

    def _beat(self, *, force: bool) -> None:
        if self._rank != 0 or (not force and time.monotonic() - self._last_beat < BEAT_EVERY):
            return
        self._last_beat = time.monotonic()
        beat = Heartbeat(phase=self.phase, step=self.step, steps=self._steps)
        write_document(self._folder.heartbeat, beat, durable=False)

    def end(self, error: BaseException | None, *, out_of_memory: bool = False) -> None:
        """Write the rank's report of how it ended; its last action."""
        text = None if error is None else f"{type(error).__name__}: {error}"
        account = RankEnd(
            rank=self._rank,
            completed=error is None,
            phase=self.phase,
            step=self.step,
            error=text,
            out_of_memory=out_of_memory,
        )
        write_document(self._folder.rank_end(self._rank), account)
