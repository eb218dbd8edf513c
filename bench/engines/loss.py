"""Loss of a batch and of the validation samples; shared by all engines."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional

from bench.contract.run import Run
from bench.data.dataset import IGNORED_LABEL, Batch, RunData
from bench.measure.progress import Watcher

LossFunction = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the mean loss over the labels, computed in fp32.

    Shapes: logits (sequences, length, vocabulary), labels (sequences, length), result scalar.
    """
    return functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), ignore_index=IGNORED_LABEL)


def batch_loss(model: nn.Module, batch: Batch, loss: LossFunction = cross_entropy) -> torch.Tensor:
    """Return the model's mean loss on a batch, a scalar."""
    return loss(model(input_ids=batch.tokens, use_cache=False).logits, batch.labels)


@torch.no_grad()
def validate(run: Run, model: nn.Module, data: RunData, device: torch.device, rank: int, watcher: Watcher) -> float:
    """Return the mean loss over the fixed validation samples, nats per token; identical on every rank.

    Collective over the world; all groups must have the same model.
    """
    model.eval()
    total = torch.zeros(2, dtype=torch.float64, device=device)
    remaining = len(range(rank, run.training.val_samples, run.world))  # samples of this rank: r, r + W, ...
    for loaded in data.validation:
        watcher.alive()
        batch = loaded.to(device)
        loss = batch_loss(model, batch).double()
        if remaining > 0:  # otherwise the batch only keeps the ranks in lockstep
            labels = (batch.labels != IGNORED_LABEL).sum()
            total += torch.stack([loss * labels, labels.double()])
            remaining -= len(batch.tokens)
    dist.all_reduce(total)
    model.train()
    return float(total[0] / total[1])
