"""Optimizer, clipping and learning-rate schedule, with the xFFL library's values as defaults."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from bench.contract.run import Run
from bench.contract.training import Training


def build_optimizer(model: nn.Module, training: Training) -> torch.optim.Optimizer:
    """AdamW over all parameters with the kernels that are asked for, or plain SGD."""
    return optimizer_over(model.parameters(), training, training.learning_rate)


def optimizer_over(parameters: Iterable[nn.Parameter], training: Training, first_rate: float) -> torch.optim.Optimizer:
    """The same over parameters that are given."""
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
    """The schedule's highest rate, grown with the ranks of a federated group where that is asked for: a federated
    group updates its model by itself, so the world's size says nothing about its batch.
    """
    ranks = run.layout.group
    factor = {"none": 1.0, "linear": float(ranks), "sqrt": math.sqrt(ranks)}[run.training.lr_scaling]
    return run.training.learning_rate * factor


def learning_rate(run: Run, step: int) -> float:
    """The rate of an optimizer step (0 is the schedule's first): linear warm-up, then cosine decay to
    `lr_decay_ratio`, where it stays. The peak is the warm-up's last step, and the schedule's last step has the lowest
    rate: the numbers of the xFFL library's `warmup_cosine_decay`, so that both engines train alike.
    """
    training, peak = run.training, peak_learning_rate(run)
    steps = training.schedule_steps or training.steps
    warmup = max(1, int(steps * training.lr_warmup_fraction))
    if step + 1 < warmup:
        return peak * (step + 1) / warmup
    progress = min(1.0, (step + 1 - warmup) / max(1, steps - warmup))
    cosine = 0.5 * (1.0 + math.cos(math.pi * progress))
    return peak * (training.lr_decay_ratio + (1.0 - training.lr_decay_ratio) * cosine)


def set_learning_rate(optimizer: torch.optim.Optimizer, value: float) -> None:
    """Use this rate from the next optimizer step on."""
    for group in optimizer.param_groups:
        group["lr"] = value


def clip(model: nn.Module, largest: float) -> None:
    """Scale the gradient of the rank's federated group down to the norm `largest`, where it is longer.

    The parts of a sharded gradient know their mesh, which ends at the group's border, so the norm is the group's own.
    All ranks of a group must call together.
    """
    nn.utils.clip_grad_norm_(model.parameters(), largest)
