"""Time of the parts of a step, noted in breakdown runs only: on a GPU each note is another CUDA event in every step."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from bench.contract.results.breakdown import Breakdown, Part, PartTime
from bench.contract.results.measured import Window
from bench.contract.run import Run
from bench.measure.clock import StepClock
from bench.measure.window import Trained


class PartsClock(StepClock):
    """A clock that also keeps when each part of a step begins.

    A part lasts until the next one begins, and the rest of a step until the next step begins, so that the parts of a
    rank's steps cover all of its time. On a GPU that is the time of the current stream: work of the host or of other
    streams counts where this stream waits for it.
    """

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        self._entered: list[tuple[int, int, Part]] = []

    def _from(self, mark: int, part: Part) -> None:
        self._entered.append((mark, len(self._begins) - 1, part))

    def enter(self, part: Part) -> None:
        """Note that a part of the step begins."""
        self._from(self._mark(), part)

    def begin(self) -> None:
        """Record the begin of a step."""
        super().begin()
        self._from(self._begins[-1], Part.REST)

    def end(self) -> None:
        """Record the end of the step."""
        super().end()
        self._from(self._ends[-1], Part.REST)

    def aggregation(self, aggregate: Callable[[], None]) -> None:
        """Run the federated averaging of the current step and time it separately."""
        super().aggregation(aggregate)
        before, after = self._aggregations[len(self._begins) - 1]
        self._from(before, Part.AVERAGING)
        self._from(after, Part.REST)

    def parts(self) -> dict[Part, list[float]]:
        """Return the seconds of each part of every step; waits for the device."""
        seconds = self._marks.seconds(self._origin)
        found = {part: [0.0] * len(self._begins) for part in Part}
        ends = [*(mark for mark, _, _ in self._entered[1:]), self._ends[-1]]
        for (mark, step, part), end in zip(self._entered, ends, strict=True):
            found[part][step] += seconds[end] - seconds[mark]
        return found


def breakdown(run: Run, window: Window, ranks: Sequence[Trained]) -> Breakdown | None:
    """Return the time of each part per step of the window; None if the ranks kept none."""
    if run.purpose != "breakdown":
        return None
    times = {part: np.array([rank.parts[part] for rank in ranks])[:, run.first_window_step :] for part in Part}
    return Breakdown(
        step=window.seconds / window.steps,
        parts={
            part: PartTime(mean=float(of_part.mean()), slowest=float(of_part.max(axis=0).mean()))
            for part, of_part in times.items()
        },
    )
