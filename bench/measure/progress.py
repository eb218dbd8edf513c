"""Progress of a rank: a heartbeat file while it runs, a report when it ends."""

from __future__ import annotations

import logging
import math
import threading
import time
from typing import Protocol

import torch

from bench.contract.results.result import Heartbeat, RankEnd
from bench.contract.storage.files import AttemptFolder, write_document
from bench.measure.glimpse import LossGlimpse, Speed

logger = logging.getLogger(__name__)

BEAT_EVERY = 0.5
"""Minimum seconds between two heartbeats."""

SLOW_FOLDER = 0.01
"""Seconds of a heartbeat above which a folder is slow: a local disk or a healthy parallel file system take less than a
tenth of it.
"""


class Watcher(Protocol):
    """Receiver of progress reports from the training."""

    def finished(self, step: int, losses: torch.Tensor) -> None:
        """Report that an optimizer step is done, with the losses of its micro-batches; 0 is the first.

        On a GPU the step is only queued, and nothing here may wait for its losses.
        """

    def alive(self) -> None:
        """Report progress within a long phase."""


class Progress:
    """Progress of one rank. Rank 0's is written to the heartbeat file.

    A thread writes it, because a slow file system would otherwise stop the training inside the window. It writes only
    what the training has newly reported, so that a hang of the training stops the heartbeat.
    """

    def __init__(self, folder: AttemptFolder, rank: int, steps: int, positions_per_step: int) -> None:
        self._folder = folder
        self._rank = rank
        self._steps = steps
        self._positions = positions_per_step
        self._loss = LossGlimpse()
        self._speed = Speed()
        self._reports = 0
        self._wake = threading.Event()
        self._writer: threading.Thread | None = None
        self._over = False
        self._fastest = math.inf
        self._failure: OSError | None = None
        self.phase = "rendezvous"
        self.step = -1

    @property
    def slow_folder(self) -> bool:
        """True if even the fastest heartbeat took long to write; a single one may have waited for a core."""
        return SLOW_FOLDER < self._fastest < math.inf

    def enter(self, phase: str) -> None:
        """Begin a new phase."""
        self.phase = phase
        logger.info("%s", phase)
        self._report(at_once=True)

    def finished(self, step: int, losses: torch.Tensor) -> None:
        """Report that an optimizer step is done, with the losses of its micro-batches; 0 is the first."""
        self.step = step
        if self._rank == 0:
            self._loss.offer(losses)
        logger.debug("step %d of %d is done", step + 1, self._steps)
        self._report(at_once=step == 0)

    def alive(self) -> None:
        """Report progress within a long phase."""
        self._report(at_once=False)

    def _report(self, *, at_once: bool) -> None:
        """Leave the report to the writer.

        Raises:
            OSError: an earlier one could not be written; the runner would take a silent rank for a hang.

        """
        if self._rank != 0:
            return
        if self._failure is not None:
            raise self._failure
        self._reports += 1
        if self._writer is None:
            self._writer = threading.Thread(target=self._write, name="heartbeat", daemon=True)
            self._writer.start()
        if at_once:
            self._wake.set()

    def _write(self) -> None:
        """Write a heartbeat whenever something was reported since the last one, until `close`."""
        written, over = 0, False
        while not over and self._failure is None:
            self._wake.wait(BEAT_EVERY)
            self._wake.clear()
            over = self._over  # looked at first, so that the last report is written
            if (reports := self._reports) == written:
                continue
            written = reports
            beat = self._beat()
            begin = time.monotonic()
            try:
                write_document(self._folder.heartbeat, beat, durable=False)
            except OSError as error:
                self._failure = error
            self._fastest = min(self._fastest, time.monotonic() - begin)

    def _beat(self) -> Heartbeat:
        step = self.step
        speed = self._speed.look(step) if step >= 0 else None
        try:
            loss = self._loss.look()
        except RuntimeError as error:  # of CUDA: what is only shown must not end the heartbeats, as a hang would
            logger.debug("no loss to show: %s", error)
            loss = None
        return Heartbeat(
            phase=self.phase,
            step=step,
            steps=self._steps,
            tokens_per_s=speed and speed * self._positions,
            loss=loss,
        )

    def end(self, error: BaseException | None, *, out_of_memory: bool = False, port_taken: bool = False) -> None:
        """Write the rank's report of how it ended."""
        text = None if error is None else f"{type(error).__name__}: {error}"
        account = RankEnd(
            rank=self._rank,
            completed=error is None,
            phase=self.phase,
            step=self.step,
            error=text,
            out_of_memory=out_of_memory,
            port_taken=port_taken,
        )
        write_document(self._folder.rank_end(self._rank), account)

    def close(self) -> None:
        """Write the last heartbeat; the rank's last action, since a process that ends would leave half of a file."""
        self._over = True
        self._wake.set()
        if self._writer is not None:
            self._writer.join()
