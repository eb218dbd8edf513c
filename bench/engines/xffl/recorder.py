"""What the harness sees of a training that the xFFL library runs.

It hands in the optimizer and the criterion, and an object with a `log` method, which the training loop calls after
every micro-batch.
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
    """Nobody watches."""


class Recorder:
    """Notes the steps of one rank. Losses come as numbers: xFFL reads them from the device in every micro-batch."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.alive: Callable[[], None] = _nobody
        """Called while the model gets its values, for whoever watches for a hang."""
        self._clock: StepClock | None = None
        self._watcher: Watcher | None = None
        self._witness: Witness | None = None
        self.optimizer: torch.optim.Optimizer | None = None
        """What xFFL was given, once it has asked."""
        self._steps = 0
        self._losses: list[float] = []
        self._tokens: list[torch.Tensor] = []

    def begin(self, device: torch.device, watcher: Watcher) -> None:
        """The first step begins: with what xFFL makes before it, the optimizer among it."""
        self._clock, self._watcher = StepClock(device), watcher
        self._begin_step(self._clock)

    def _begin_step(self, clock: StepClock) -> None:
        if self._steps == self._run.first_window_step:
            clock.align()
        clock.begin()

    def make_optimizer(self, parameters: Iterable[torch.nn.Parameter], **settings: Any) -> torch.optim.Optimizer:  # noqa: ANN401
        """What xFFL calls in the place of an optimizer's class; `settings` are those of the configuration."""
        held = list(parameters)
        optimizer = self.optimizer = optimizer_over(held, self._run.training, peak_learning_rate(self._run))
        if self._run.layout.federation > 1:
            self._witness = Witness(held)
            optimizer.register_step_post_hook(self._stepped)
        return optimizer

    def _stepped(self, *_: object) -> None:
        """After every optimizer step, which xFFL's averaging follows at once."""
        if self._witness is not None and self._averages(self._steps):
            self._witness.before()

    def _averages(self, step: int) -> bool:
        return (step + 1) % self._run.every == 0

    def criterion(self, state: object) -> Forward:
        """What xFFL calls to get the loss function; it is given the model's output and the labels."""

        def loss(output: Any, labels: torch.Tensor) -> torch.Tensor:  # noqa: ANN401
            self._tokens.append((labels != IGNORED_LABEL).sum())
            return cross_entropy(output.logits, labels)

        return loss

    def log(self, metrics: Mapping[str, Any], **_: object) -> None:
        """What xFFL calls after every micro-batch, and with other figures after an epoch."""
        if "train/Step" not in metrics or self._clock is None or self._watcher is None:
            return
        self._losses.append(float(metrics["train/Step_loss"]))
        if len(self._losses) % self._run.training.accumulation:
            return
        if self._witness is not None and self._averages(self._steps):
            self._witness.after()
        self._clock.end()
        self._watcher.finished(self._steps)
        self._steps += 1
        if self._steps < self._run.training.steps:
            self._begin_step(self._clock)

    def read(self) -> Trained:
        """All steps; waits for the device.

        Raises:
            RuntimeError: xFFL took another number of steps than the run asks for.

        """
        training = self._run.training
        if self._clock is None or self._steps != training.steps:
            raise RuntimeError(f"xFFL took {self._steps} steps, the run asks for {training.steps}")
        begins, ends, _ = self._clock.read()
        losses = torch.tensor(self._losses, dtype=torch.float64).view(training.steps, training.accumulation)
        labels = torch.stack(self._tokens).cpu().view(training.steps, training.accumulation)
        federated = self._witness is not None
        return Trained(
            losses=((losses * labels).sum(1) / labels.sum(1)).tolist(),
            tokens=labels.sum(1).tolist(),
            begins=begins,
            ends=ends,
            # xFFL averages inside a step and says nothing of its time.
            aggregations=[float("nan") if federated and self._averages(s) else 0.0 for s in range(training.steps)],
            averaged=self._witness.read() if self._witness else [],
        )
