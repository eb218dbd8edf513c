"""Begin and end times of steps, recorded without synchronising the device.

Uses the host's monotonic clock on a CPU, and CUDA events, read after the last step, on a GPU. Times count from `align`,
which all ranks reach through one barrier: that makes the clocks of different hosts comparable.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from math import nan
from typing import Protocol

import torch
import torch.distributed as dist

from bench.contract.results.breakdown import Part


class Marks(Protocol):
    """A series of time stamps."""

    def mark(self) -> None:
        """Record the current time (on a GPU: when the work queued so far is done)."""

    def seconds(self, origin: int) -> list[float]:
        """Return all time stamps, in seconds after the one with index `origin`."""


class HostMarks:
    """Time stamps of the host's monotonic clock."""

    def __init__(self) -> None:
        self._moments: list[float] = []

    def mark(self) -> None:
        """Record the current time."""
        self._moments.append(time.perf_counter())

    def seconds(self, origin: int) -> list[float]:
        """Return all time stamps, in seconds after the one with index `origin`."""
        return [moment - self._moments[origin] for moment in self._moments]


class CudaMarks:
    """Time stamps in the device's current stream."""

    def __init__(self) -> None:
        self._events: list[torch.cuda.Event] = []

    def mark(self) -> None:
        """Queue a CUDA event."""
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        self._events.append(event)

    def seconds(self, origin: int) -> list[float]:
        """Return all time stamps, in seconds after the one with index `origin`; waits for the device."""
        torch.cuda.synchronize()
        zero = self._events[origin]
        # elapsed_time needs the earlier event first: for events before the origin the order is swapped.
        return [
            (zero.elapsed_time(event) if place >= origin else -event.elapsed_time(zero)) / 1e3
            for place, event in enumerate(self._events)
        ]


class StepClock:
    """Begin, end and aggregation time of every step of one rank."""

    def __init__(self, device: torch.device) -> None:
        self._marks: Marks = CudaMarks() if device.type == "cuda" else HostMarks()
        self._device = device
        self._count = 0
        self._origin = 0
        self._begins: list[int] = []
        self._ends: list[int] = []
        self._aggregations: dict[int, tuple[int, int]] = {}

    def _mark(self) -> int:
        self._marks.mark()
        self._count += 1
        return self._count - 1

    def align(self) -> None:
        """Set the zero of all ranks' clocks with a barrier; called at the start of the window."""
        self.wait()
        self._origin = self._mark()

    def wait(self) -> None:
        """Wait for all ranks and their devices; called before the clock goes on after a pause too."""
        if self._device.type == "cuda":
            torch.cuda.synchronize()
        dist.barrier()

    def enter(self, part: Part) -> None:
        """Note that a part of the step begins; this clock keeps no parts, so that timed runs read no clock for them."""

    def begin(self) -> None:
        """Record the begin of a step."""
        self._begins.append(self._mark())

    def end(self) -> None:
        """Record the end of the step."""
        self._ends.append(self._mark())

    def aggregation(self, aggregate: Callable[[], None]) -> None:
        """Run the federated averaging of the current step and time it separately."""
        before = self._mark()
        aggregate()
        self._aggregations[len(self._begins) - 1] = (before, self._mark())

    def parts(self) -> dict[Part, list[float]]:
        """Return the seconds of each part of every step, as far as they were kept."""
        return {}

    def read(self) -> tuple[list[float], list[float], list[float], list[float]]:
        """Return (begin, end, arrival, aggregation) of every step in seconds; the first three count from `align`.

        Without an averaging, the arrival at it is NaN and the aggregation 0.
        """
        seconds = self._marks.seconds(self._origin)
        spans = [self._aggregations.get(step) for step in range(len(self._begins))]
        return (
            [seconds[mark] for mark in self._begins],
            [seconds[mark] for mark in self._ends],
            [nan if span is None else seconds[span[0]] for span in spans],
            [0.0 if span is None else seconds[span[1]] - seconds[span[0]] for span in spans],
        )
