"""The native engine: PyTorch's own FSDP2 or DDP inside the group, federated averaging between groups.

One training path serves every strategy; with one group the second half is empty.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import FSDPModule
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from bench.clock import StepClock
from bench.contract import Run
from bench.data import IGNORED_LABEL, Batch, RunData
from bench.optim import clip, learning_rate, set_learning_rate
from bench.progress import Watcher

LossFunction = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Trained:
    """What one rank saw.

    Attributes:
        losses: mean loss of the rank's own labels at every step, nats per token.
        tokens: labels that were trained on at every step.
        begins, ends: seconds from the start of the window; aggregations: seconds of averaging inside each step.
        first_step: seconds of the first step, compilation and lazy set-up included.

    """

    losses: list[float]
    tokens: list[int]
    begins: list[float]
    ends: list[float]
    aggregations: list[float]

    @property
    def first_step(self) -> float:
        """Seconds of the first step, with all that is set up on the way."""
        return self.ends[0] - self.begins[0]


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean over the labels, taken in fp32; a scalar. Shapes (sequences, length, vocabulary) and (sequences, length)."""
    return functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), ignore_index=IGNORED_LABEL)


def batch_loss(model: nn.Module, batch: Batch, loss: LossFunction = cross_entropy) -> torch.Tensor:
    """The model's mean loss on a batch, a scalar."""
    return loss(model(input_ids=batch.tokens, use_cache=False).logits, batch.labels)


def _reduce_replicas(model: nn.Module, wanted: bool) -> None:
    """Whether the next backward pass ends with the sum over replicas: once a step, whatever its micro-batches.

    A sharded gradient is reduced over its shard group in every micro-batch all the same: whole, it would take the room
    that sharding saves.
    """
    if isinstance(model, DistributedDataParallel):
        model.require_backward_grad_sync = wanted  # what its context manager `no_sync` sets
    elif isinstance(model, FSDPModule):
        model.set_requires_all_reduce(wanted)


def train(
    run: Run,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: Callable[[], None] | None,
    data: RunData,
    device: torch.device,
    watcher: Watcher,
) -> Trained:
    """Train `run.training.steps` optimizer steps. `average` averages the groups, None where there is one group.

    Losses stay on the device until the last step is over: reading one makes the device wait.
    """
    training = run.training
    clock = StepClock(device)
    loss_function: LossFunction = torch.compile(cross_entropy) if training.compile else cross_entropy
    losses: list[torch.Tensor] = []
    tokens: list[torch.Tensor] = []
    batches = iter(data.train)
    for step in range(training.steps):
        if step == run.first_window_step:
            clock.align()
        clock.begin()
        set_learning_rate(optimizer, learning_rate(run, data.order.first_step + step))
        for micro in range(training.accumulation):
            batch = next(batches).to(device)
            if training.accumulation > 1:
                _reduce_replicas(model, micro + 1 == training.accumulation)
            loss = batch_loss(model, batch, loss_function)
            (loss / training.accumulation).backward()
            losses.append(loss.detach())
            tokens.append((batch.labels != IGNORED_LABEL).sum())
        if training.clip_norm:
            clip(model, training.clip_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if average and (step + 1) % run.every == 0:  # also after the last step, a multiple of every interval
            clock.aggregation(average)
        clock.end()
        watcher.finished(step)
    begins, ends, aggregations = clock.read()
    of_micro_batches = torch.stack(losses).double().view(training.steps, training.accumulation)
    labels = torch.stack(tokens).view(training.steps, training.accumulation)
    return Trained(
        losses=((of_micro_batches * labels).sum(1) / labels.sum(1)).tolist(),
        tokens=labels.sum(1).tolist(),
        begins=begins,
        ends=ends,
        aggregations=aggregations,
    )


@torch.no_grad()
def validate(run: Run, model: nn.Module, data: RunData, device: torch.device, rank: int, watcher: Watcher) -> float:
    """Mean loss over the fixed validation samples, nats per token; the same number on every rank.

    All ranks must call together, and the groups must hold one model.
    """
    model.eval()
    total = torch.zeros(2, dtype=torch.float64, device=device)
    remaining = len(range(rank, run.training.val_samples, run.world))  # samples of this rank: r, r + W, ...
    for loaded in data.validation:
        watcher.alive()
        batch = loaded.to(device)
        loss = batch_loss(model, batch).double()
        if remaining > 0:  # else the batch only keeps the ranks in step
            labels = (batch.labels != IGNORED_LABEL).sum()
            total += torch.stack([loss * labels, labels.double()])
            remaining -= len(batch.tokens)
    dist.all_reduce(total)
    model.train()
    return float(total[0] / total[1])
