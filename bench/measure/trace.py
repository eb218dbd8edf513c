"""A trace of a few steps by torch's profiler, of profile runs only: it slows them, so they are never timed."""

from __future__ import annotations

import torch
from torch.profiler import ProfilerActivity, profile

from bench.contract.run import Run
from bench.contract.storage.files import AttemptFolder

STEPS = 3
"""Traced steps: more make files that viewers cannot open. With a federation the last of them averages."""


class StepTrace:
    """Trace of steps of the window on one rank, written once the training is over.

    Args:
        device: operators of the host are traced, and kernels if this is a GPU.

    """

    def __init__(self, run: Run, device: torch.device) -> None:
        self._last = last_traced(run)
        self._first = max(run.first_window_step, self._last - STEPS + 1)
        kernels = [ProfilerActivity.CUDA] if device.type == "cuda" else []
        self._profile = profile(activities=[ProfilerActivity.CPU, *kernels])

    def finished(self, step: int) -> None:
        """Begin or end the trace after this step; -1 is before the first."""
        if step == self._first - 1:
            self._profile.start()
        if step == self._last:
            self._profile.stop()

    def write(self, folder: AttemptFolder, rank: int) -> None:
        """Write the trace in the format of chrome://tracing and Perfetto."""
        file = folder.trace(rank)
        file.parent.mkdir(exist_ok=True)
        self._profile.export_chrome_trace(str(file))


def last_traced(run: Run) -> int:
    """Return the index of the last traced step: the window's first step that averages, or its third."""
    third = min(run.first_window_step + STEPS, run.training.steps) - 1
    if not run.every:
        return third
    return -(-(third + 1) // run.every) * run.every - 1
