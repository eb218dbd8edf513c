"""The native engine's step beside a plain FSDP2 loop on the same model, data and ranks, in turns in one session."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from pytest_benchmark.fixture import BenchmarkFixture
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn import functional
from transformers import LlamaForCausalLM

from bench.build import configuration
from bench.contract import Run
from bench.data import load
from bench.measure import window
from bench.optim import learning_rate
from reports.statistics import ratio
from tests.bench.runs import make_run, steps_of, train_rank
from tests.ranks import Ranks

STEPS = 120
WARMUP = 20
PAIRS = 8


def plain_loop(rank: int, run: Run) -> float:
    """Seconds of the window in a loop as a tutorial writes it: no clock, no records, no heartbeat."""
    torch.manual_seed(1)
    model = LlamaForCausalLM(configuration(run.shape))
    mesh = init_device_mesh("cpu", (run.world,), mesh_dim_names=("shard",))
    for layer in model.model.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, betas=(0.9, 0.95), weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate(run.training, step))
    begin = 0.0
    for step, batch in enumerate(load(run, rank).train):
        if step == WARMUP:
            dist.barrier()
            begin = time.perf_counter()
        logits = model(input_ids=batch.tokens, use_cache=False).logits
        functional.cross_entropy(logits.float().flatten(0, 1), batch.labels.flatten()).backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return time.perf_counter() - begin


def native(rank: int, run: Run) -> object:
    return train_rank(run, rank)[0]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("world", [2, 4])
def test_native_engine_beside_plain_fsdp2(benchmark: BenchmarkFixture, ranks: Ranks, data: Path, world: int) -> None:
    """Ratio of step times in pairs; aim: at most 1.02. More ranks than cores measure the scheduler too."""
    run = make_run(data, (1, 1, world), batch_size=4, steps=STEPS, warmup_steps=WARMUP)

    def pairs() -> list[tuple[float, float]]:
        found = []
        for turn in range(PAIRS):
            kinds = [native, plain_loop] if turn % 2 else [plain_loop, native]
            seconds = {kind: ranks(world, kind, run) for kind in kinds}
            found.append((window(run, steps_of(seconds[native])).seconds, max(seconds[plain_loop])))
        return found

    measured = benchmark.pedantic(pairs, rounds=1)
    estimate = ratio(*(dict(enumerate(seconds)) for seconds in zip(*measured, strict=True)))
    assert estimate is not None
    benchmark.extra_info["native_over_plain"] = {
        "ratio": round(estimate.value, 4),
        "low": round(estimate.low, 4),
        "high": round(estimate.high, 4),
        "median": round(statistics.median(a / b for a, b in measured), 4),
    }
