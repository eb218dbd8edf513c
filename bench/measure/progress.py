"""A rank's account of where it is: a heartbeat while it lives, its own word when it ends."""

from __future__ import annotations

import logging
import time
from typing import Protocol

from bench.contract.files import AttemptFolder, write_document
from bench.contract.result import Heartbeat, RankEnd

logger = logging.getLogger(__name__)

BEAT_EVERY = 0.5  # seconds between two writes at most, so that a beat costs nothing in a window


class Watcher(Protocol):
    """Who is told that the training goes on."""

    def finished(self, step: int) -> None:
        """An optimizer step is done (0 is the first)."""

    def alive(self) -> None:
        """Something small is done, in a phase that can take long."""


class Progress:
    """Follows one rank. Rank 0 also writes the heartbeat, from the training's own thread: a hang must stop it."""

    def __init__(self, folder: AttemptFolder, rank: int, steps: int) -> None:
        self._folder = folder
        self._rank = rank
        self._steps = steps
        self._last_beat = 0.0
        self.phase = "rendezvous"
        self.step = -1

    def enter(self, phase: str) -> None:
        """A new phase has begun."""
        self.phase = phase
        logger.info("%s", phase)
        self._beat(force=True)

    def finished(self, step: int) -> None:
        """An optimizer step is done (0 is the first)."""
        self.step = step
        logger.debug("step %d of %d is done", step + 1, self._steps)
        self._beat(force=step == 0)

    def alive(self) -> None:
        """Something small is done, in a phase that can take long."""
        self._beat(force=False)

    def _beat(self, *, force: bool) -> None:
        if self._rank != 0 or (not force and time.monotonic() - self._last_beat < BEAT_EVERY):
            return
        self._last_beat = time.monotonic()
        beat = Heartbeat(phase=self.phase, step=self.step, steps=self._steps)
        write_document(self._folder.heartbeat, beat, durable=False)

    def end(self, error: BaseException | None, *, out_of_memory: bool = False) -> None:
        """Write the rank's own word: the last thing it does."""
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
