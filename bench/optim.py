"""Optimizer and learning-rate schedule, with the xFFL library's values as defaults."""

from __future__ import annotations

import math

import torch
from torch import nn

from bench.contract import Training


def build_optimizer(model: nn.Module, training: Training) -> torch.optim.Optimizer:
    """AdamW over all parameters, or plain SGD."""
    if training.optimizer == "sgd":
        return torch.optim.SGD(model.parameters(), lr=training.learning_rate)
    return torch.optim.AdamW(
        model.parameters(),
        lr=training.learning_rate,
        betas=(training.beta1, training.beta2),
        weight_decay=training.weight_decay,
    )


def learning_rate(training: Training, step: int) -> float:
    """The rate of an optimizer step (0 is the first): linear warm-up, then cosine decay to `lr_decay_ratio`."""
    warmup = math.ceil(training.lr_warmup_fraction * training.steps)
    if step < warmup:
        return training.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / max(1, training.steps - 1 - warmup)
    cosine = 0.5 * (1.0 + math.cos(math.pi * progress))
    return training.learning_rate * (training.lr_decay_ratio + (1.0 - training.lr_decay_ratio) * cosine)


def set_learning_rate(optimizer: torch.optim.Optimizer, value: float) -> None:
    """Use this rate from the next optimizer step on."""
    for group in optimizer.param_groups:
        group["lr"] = value
