"""Runs for tests, and training them inside the shared ranks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.tensor import DTensor

from bench.contract.layout import Layout
from bench.contract.run import Limits, Run, System
from bench.contract.shapes import STOCK
from bench.contract.training import Training
from bench.data.dataset import load
from bench.engines.native import train
from bench.measure.progress import Watcher
from bench.measure.window import Trained
from bench.models.build import build
from bench.models.optim import build_optimizer
from bench.models.state import local_parameters
from bench.parallel.federation import FederatedAverage
from bench.parallel.mesh import Groups, make_groups

CPU = torch.device("cpu")
SMALL = {
    name: STOCK[name].model_copy(update={"hidden_size": 32, "intermediate_size": 48})
    for name in ("llama-tiny", "mixtral-tiny")
}


def make_run(
    data: Path,
    layout: tuple[int, int, int],
    *,
    model: str = "llama-tiny",
    batch_size: int = 2,
    every: int = 4,
    cuda_streams: int = 1,
    block: int = 4,
    **training: Any,
) -> Run:
    """A run of (federation, replicate, shard) ranks, at most 4 of them on a node."""
    shape = Layout(federation=layout[0], replicate=layout[1], shard=layout[2])
    nodes = -(-shape.world // 4)
    settings = {"sequence_length": 32, "steps": 20, "warmup_steps": 4, "learning_rate": 1e-3} | training
    return Run(
        sweep="test",
        id="test",
        repeat=0,
        labels={},
        model=model,
        shape=SMALL[model],
        layout=shape,
        every=every if shape.federation > 1 else 0,
        cuda_streams=cuda_streams,
        nodes=nodes,
        ranks_per_node=shape.world // nodes,
        regime="micro-batch",
        batch_size=batch_size,
        block=block,
        training=Training(**settings),
        data=str(data),
        system=System(name="test", device="cpu", threads_per_rank=1),
        limits=Limits(hang_seconds=60),
    )


class NoProgress:
    """Takes the place of the account of where a rank is, and notes steps."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    def finished(self, step: int, losses: torch.Tensor) -> None:
        assert losses.ndim == 1
        self.steps.append(step)

    def alive(self) -> None:
        pass


def prepare(run: Run, rank: int) -> tuple[Groups, nn.Module]:
    """Groups and model of a run on this rank."""
    groups = make_groups(run, rank, CPU)
    return groups, build(run, groups, CPU, NoProgress().alive)


def averaging(model: nn.Module, groups: Groups) -> FederatedAverage | None:
    return FederatedAverage(local_parameters(model), groups.holders) if groups.holders else None


def train_rank(
    run: Run, rank: int, wrap: Callable[[Any], Any] = lambda average: average, watcher: Watcher | None = None
) -> tuple[Trained, nn.Module]:
    """Train a run on this rank; `wrap` may change the averaging."""
    groups, model = prepare(run, rank)
    optimizer = build_optimizer(model, run.training)
    average = wrap(averaging(model, groups))
    trained = train(run, model, optimizer, average, load(run, rank), CPU, watcher or NoProgress())
    return trained, model


def losses_of(rank: int, run: Run) -> list[float]:
    """Called on every rank: this rank's losses."""
    return train_rank(run, rank)[0].losses


def mean_curve(answers: list[list[float]]) -> list[float]:
    """Mean over ranks, which all have the same number of labels."""
    return [sum(step) / len(step) for step in zip(*answers, strict=True)]


def full_parameters(model: nn.Module) -> dict[str, torch.Tensor]:
    """Every parameter whole, by the name it has without wrappers. All ranks of a shard group call together."""
    return {
        name.removeprefix("module."): (p.full_tensor() if isinstance(p, DTensor) else p).detach().clone()
        for name, p in model.named_parameters()
    }


def world_barrier() -> None:
    dist.barrier()


def one_by_one(rank: int, function: Callable[..., Any], jobs: list[tuple[Any, ...]]) -> list[Any]:
    """Called on every rank: several calls in one world, since forming a world takes longer than a small training."""
    return [function(rank, *job) for job in jobs]
