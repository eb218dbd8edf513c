"""Optimizer, clipping and learning-rate schedule, with the xFFL library's values as defaults."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from bench.contract.run import Run
from bench.contract.training import Training


def build_optimizer(model: nn.Module, training: Training) -> torch.optim.Optimizer:
    """Return the run's optimizer over all parameters of a model: AdamW or plain SGD."""
    return optimizer_over(model.parameters(), training, training.learning_rate)


def optimizer_over(parameters: Iterable[nn.Parameter], training: Training, first_rate: float) -> torch.optim.Optimizer:
    """Return the run's optimizer over the given parameters."""
    if training.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=first_rate)
    return torch.optim.AdamW(
        parameters,
        lr=first_rate,
        betas=(training.beta1, training.beta2),
        weight_decay=training.weight_decay,
        fused=training.adamw_kernels == "fused",
        foreach=training.adamw_kernels == "foreach",
    )


def peak_learning_rate(run: Run) -> float:
    """Return the schedule's highest rate, scaled by `lr_scaling` with the ranks of a federated group.

    A group updates its model alone between averagings, so its batch does not depend on the world size.
    """
    ranks = run.layout.group
    factor = {"none": 1.0, "linear": float(ranks), "sqrt": math.sqrt(ranks)}[run.training.lr_scaling]
    return run.training.learning_rate * factor


def learning_rate(run: Run, step: int) -> float:
    """Return the rate of an optimizer step (0 is the schedule's first).

    Linear warm-up, then cosine decay to `lr_decay_ratio`, where it stays. The last warm-up step has the peak rate, the
    schedule's last step the lowest, even if it is a warm-up step. The rates equal those of the xFFL library's
    `warmup_cosine_decay`, so that both engines train identically.
    """
    training, peak = run.training, peak_learning_rate(run)
    steps = training.schedule_steps or training.steps
    warmup = max(1, int(steps * training.lr_warmup_fraction))
    if step + 1 >= steps:
        return peak * training.lr_decay_ratio
    if step + 1 < warmup:
        return peak * (step + 1) / warmup
    progress = (step + 1 - warmup) / (steps - warmup)
    cosine = 0.5 * (1.0 + math.cos(math.pi * progress))
    return peak * (training.lr_decay_ratio + (1.0 - training.lr_decay_ratio) * cosine)


def set_learning_rate(optimizer: torch.optim.Optimizer, value: float) -> None:
    """Set the rate for the next optimizer steps."""
    for group in optimizer.param_groups:
        group["lr"] = value


def clip(model: nn.Module, largest: float) -> None:
    """Clip the gradient of the rank's federated group to the norm `largest`. Collective over the group.

    A sharded gradient is a DTensor whose mesh spans one group, so the norm is the group's own.
    """
    nn.utils.clip_grad_norm_(model.parameters(), largest)
