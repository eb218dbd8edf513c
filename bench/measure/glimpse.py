"""The loss and the speed of recent steps while a run goes on, for display only: no result has a figure from here."""

from __future__ import annotations

import time
from collections import deque

import torch

LOOKS = 20
"""Looks over which the speed is the mean."""


class LossGlimpse:
    """The loss of a recent step, read by another thread without making the training wait.

    On a GPU one event is queued for each look, and its step is read once the event is over, in a stream of its own.
    """

    def __init__(self) -> None:
        self._kept: tuple[torch.Tensor, torch.cuda.Event | None] | None = None
        self._stream: torch.cuda.Stream | None = None
        self._last: float | None = None

    def offer(self, losses: torch.Tensor) -> None:
        """Keep a step's losses, of shape (micro-batches,), if those kept before have been read.

        They must not change any more. Called by the training's thread.
        """
        if self._kept is not None:
            return
        event = None
        if losses.is_cuda:
            event = torch.cuda.Event()
            event.record()
        self._kept = losses, event

    def look(self) -> float | None:
        """Return the mean of the newest losses that the device has computed, None before the first.

        Called by the thread that displays them.
        """
        if self._kept is not None:
            losses, event = self._kept
            if event is None or event.query():
                self._last = self._read(losses)
                self._kept = None
        return self._last

    def _read(self, losses: torch.Tensor) -> float:
        if losses.is_cuda:
            self._stream = self._stream or torch.cuda.Stream(losses.device)
            with torch.cuda.stream(self._stream):
                losses = losses.cpu()
        return float(losses.double().mean())


class Speed:
    """Steps per second over the last looks at a training, pauses for validation included."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, int]] = deque(maxlen=LOOKS)

    def look(self, step: int) -> float | None:
        """Note the newest finished step, and return steps per second; None until a step was finished between looks."""
        self._looks.append((time.monotonic(), step))
        (began, first), (now, last) = self._looks[0], self._looks[-1]
        return (last - first) / (now - began) if last > first else None
