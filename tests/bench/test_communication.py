"""The collectives of a step are the predicted ones, counted as they are issued."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch.utils._python_dispatch import TorchDispatchMode

from bench.communication import predict
from bench.contract import Run
from bench.data import load
from bench.engines.native import batch_loss
from bench.optim import build_optimizer
from bench.shapes import STOCK
from bench.strategy import Layout
from tests.bench.runs import averaging, make_run, prepare
from tests.ranks import Ranks

Counted = dict[tuple[str, int], int]


class Collectives(TorchDispatchMode):
    """Counts bytes of the whole tensor by kind of collective and size of its group."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes: Counter[tuple[str, int]] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        namespace, _, name = func.name().partition("::")
        if namespace == "c10d":
            kind = {"_allgather_base_": "all-gather", "_reduce_scatter_base_": "reduce-scatter"}.get(name, "all-reduce")
            assert kind != "all-reduce" or name == "allreduce_", f"a collective that nobody predicted: {name}"
            tensors = args[0] if name == "allreduce_" else [args[0 if name == "_allgather_base_" else 1]]
            group = next(
                arg for arg in args if isinstance(arg, torch.ScriptObject) and "ProcessGroup" in str(arg._type())
            )
            ranks = dist.ProcessGroup.unbox(group).size()
            self.bytes[kind, ranks] += sum(each.numel() * each.element_size() for each in tensors)
        return func(*args, **(kwargs or {}))


def collectives_of_a_step(rank: int, run: Run) -> Counted:
    groups, model = prepare(run, rank)
    optimizer = build_optimizer(model, run.training)
    average = averaging(model, groups)
    batches = iter(load(run, rank).train)

    def step() -> None:
        batch_loss(model, next(batches)).backward()
        optimizer.step()
        optimizer.zero_grad()
        if average:
            average()

    step()
    step()  # the first ones set things up; DDP orders its buckets anew in the second
    with Collectives() as counted:
        step()
    return dict(counted.bytes)


@pytest.mark.parametrize(("model", "precision"), [("llama-tiny", "bf16"), ("mixtral-tiny", "fp32")])
def test_collectives_are_the_predicted_ones(ranks: Ranks, data: Path, model: str, precision: str) -> None:
    for layout in [(1, 1, 4), (1, 1, 8), (1, 2, 4), (1, 4, 1), (2, 1, 4), (2, 2, 2), (4, 1, 1)]:
        run = make_run(data, layout, model=model, precision=precision, every=1)
        predicted: Counter[tuple[str, int]] = Counter()
        for traffic in predict(run.shape, run.layout, run.every, run.training.precision):
            predicted[traffic.kind, traffic.ranks] += traffic.bytes
        for counted in ranks(run.world, collectives_of_a_step, run):
            assert counted == dict(predicted), layout


def test_published_shapes() -> None:
    """Llama-3.1-8B in bf16, figures worked out by hand: 16.06 GB of parameters, 2.1 GB of them in the root."""
    shape = STOCK["llama3.1-8b"]
    sent = {
        (each.kind, each.over): each.sent_per_step / 1e9
        for each in predict(shape, Layout(federation=4, replicate=1, shard=32), 8, "bf16")
    }
    assert sent["all-gather", "shard"] == pytest.approx(2 * 15.559 - 2.036, abs=0.01)
    assert sent["reduce-scatter", "shard"] == pytest.approx(15.559, abs=0.01)
    # P x 4 bytes / 32 shards over 4 groups: 2 x 1.0038 GB x 3/4, every 8 steps
    assert sent["all-reduce", "federation"] == pytest.approx(0.1882, abs=0.001)
