"""Observation of a training that the xFFL library runs.

The harness passes in the optimizer, the criterion, and an object with a `log` method, which the library's training loop
calls after every micro-batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch

from bench.contract.run import Run
from bench.data.dataset import IGNORED_LABEL
from bench.engines.loss import cross_entropy
from bench.measure.clock import StepClock
from bench.measure.progress import Watcher
from bench.measure.window import Trained
from bench.models.optim import optimizer_over, peak_learning_rate
from bench.parallel.averaging_check import Witness

Forward = Callable[[Any, torch.Tensor], torch.Tensor]


def _nobody() -> None:
    """Do nothing."""


class Recorder:
    """Recorder of one rank's steps. Losses arrive as numbers: xFFL reads them from the device in every micro-batch."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.alive: Callable[[], None] = _nobody
        """Called to report progress while the model gets its values."""
        self._clock: StepClock | None = None
        self._watcher: Watcher | None = None
        self._witness: Witness | None = None
        self.optimizer: torch.optim.Optimizer | None = None
        """The optimizer, once xFFL has created it by `make_optimizer`."""
        self._steps = 0
        self._losses: list[float] = []
        self._tokens: list[torch.Tensor] = []

    def begin(self, device: torch.device, watcher: Watcher) -> None:
        """Begin the first step, which includes what xFFL sets up before it, such as the optimizer."""
        self._clock, self._watcher = StepClock(device), watcher
        self._begin_step(self._clock)

    def _begin_step(self, clock: StepClock) -> None:
        if self._steps == self._run.first_window_step:
            clock.align()
        clock.begin()

    def make_optimizer(self, parameters: Iterable[torch.nn.Parameter], **settings: Any) -> torch.optim.Optimizer:  # noqa: ANN401
        """Create the optimizer; xFFL calls this instead of an optimizer's class. `settings` are its configuration's."""
        held = list(parameters)
        optimizer = self.optimizer = optimizer_over(held, self._run.training, peak_learning_rate(self._run))
        if self._run.layout.federation > 1:
            self._witness = Witness(held)
            optimizer.register_step_post_hook(self._stepped)
        return optimizer

    def _stepped(self, *_: object) -> None:
        """Copy elements after an optimizer step, if an averaging follows."""
        if self._witness is not None and self._averages(self._steps):
            self._witness.before()

    def _averages(self, step: int) -> bool:
        return (step + 1) % self._run.every == 0

    def criterion(self, state: object) -> Forward:
        """Return the loss function, of the model's output and the labels; called by xFFL."""

        def loss(output: Any, labels: torch.Tensor) -> torch.Tensor:  # noqa: ANN401
            self._tokens.append((labels != IGNORED_LABEL).sum())
            return cross_entropy(output.logits, labels)

        return loss

    def log(self, metrics: Mapping[str, Any], **_: object) -> None:
        """Record a micro-batch; called by xFFL after each one, and with other metrics after an epoch."""
        if "train/Step" not in metrics or self._clock is None or self._watcher is None:
            return
        self._losses.append(float(metrics["train/Step_loss"]))
        if len(self._losses) % self._run.training.accumulation:
            return
        if self._witness is not None and self._averages(self._steps):
            self._witness.after()
        self._clock.end()
        self._watcher.finished(self._steps, torch.tensor(self._losses[-self._run.training.accumulation :]))
        self._steps += 1
        if self._steps < self._run.training.steps:
            self._begin_step(self._clock)

    def read(self) -> Trained:
        """Return all steps; waits for the device.

        Raises:
            RuntimeError: xFFL took another number of steps than the run has.

        """
        training = self._run.training
        if self._clock is None or self._steps != training.steps:
            raise RuntimeError(f"xFFL took {self._steps} steps, but the run has {training.steps}")
        begins, ends, arrivals, _ = self._clock.read()
        losses = torch.tensor(self._losses, dtype=torch.float64).view(training.steps, training.accumulation)
        labels = torch.stack(self._tokens).cpu().view(training.steps, training.accumulation)
        federated = self._witness is not None
        return Trained(
            losses=((losses * labels).sum(1) / labels.sum(1)).tolist(),
            tokens=labels.sum(1).tolist(),
            begins=begins,
            ends=ends,
            # xFFL averages within a step and does not report the time, so there are no arrivals either.
            arrivals=arrivals,
            aggregations=[float("nan") if federated and self._averages(s) else 0.0 for s in range(training.steps)],
            averaged=self._witness.read() if self._witness else [],
        )
