"""The native engine's step beside a plain FSDP2 loop and Hugging Face Accelerate's FSDP2: the same model, data, types,
optimizer kernels and ranks, in turns in one session.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from pytest_benchmark.fixture import BenchmarkFixture
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn import functional
from transformers import LlamaForCausalLM

from bench.contract.run import Run
from bench.data.dataset import load
from bench.measure.window import Steps, window
from bench.models.model import configuration
from bench.models.optim import learning_rate
from tests.support.pairs import paired_ratio
from tests.support.ranks import Ranks
from tests.support.runs import make_run, train_rank

STEPS = 120
WARMUP = 20
PAIRS = 8
ADAMW: dict[str, Any] = {"lr": 1.0, "betas": (0.9, 0.95), "weight_decay": 0.1, "fused": True}


def tutorial_loop(run: Run, rank: int, prepare: Callable[..., Any]) -> float:
    """Seconds of the window in a loop as a tutorial writes it: no clock, no records, no heartbeat."""
    torch.manual_seed(1)
    model = LlamaForCausalLM(configuration(run.shape))
    optimizer = torch.optim.AdamW(model.parameters(), **ADAMW)
    model, optimizer, backward = prepare(run, model, optimizer)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate(run, step))
    begin = 0.0
    for step, batch in enumerate(load(run, rank).train):
        if step == WARMUP:
            dist.barrier()
            begin = time.perf_counter()
        logits = model(input_ids=batch.tokens, use_cache=False).logits
        backward(functional.cross_entropy(logits.float().flatten(0, 1), batch.labels.flatten()))
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return time.perf_counter() - begin


def with_fully_shard(run: Run, model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[Any, ...]:
    mesh = init_device_mesh("cpu", (run.world,), mesh_dim_names=("shard",))
    for layer in model.get_submodule("model.layers").children():
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    return model, torch.optim.AdamW(model.parameters(), **ADAMW), torch.Tensor.backward


def with_accelerate(run: Run, model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[Any, ...]:
    from accelerate import Accelerator, DistributedType, FullyShardedDataParallelPlugin
    from accelerate.state import AcceleratorState, PartialState

    for state in (AcceleratorState, PartialState):  # another world may have been here before
        state._reset_state()
    plugin = FullyShardedDataParallelPlugin(
        fsdp_version=2,
        auto_wrap_policy="transformer_based_wrap",
        transformer_cls_names_to_wrap=["LlamaDecoderLayer"],
        reshard_after_forward=True,
        state_dict_type="SHARDED_STATE_DICT",
    )
    accelerator = Accelerator(cpu=True, fsdp_plugin=plugin)
    # It turns FSDP on by itself where there is an accelerator; on a CPU it has to be told.
    accelerator.state.distributed_type = DistributedType.FSDP
    accelerator.state.fsdp_plugin = plugin
    model, optimizer = accelerator.prepare(model, optimizer)
    sharded = [type(parameter).__name__ for parameter in model.parameters()]
    assert set(sharded) == {"DTensor"}, "Accelerate did not shard"
    return model, optimizer, accelerator.backward


def plain(rank: int, run: Run) -> float:
    return tutorial_loop(run, rank, with_fully_shard)


def accelerated(rank: int, run: Run) -> float:
    return tutorial_loop(run, rank, with_accelerate)


def native(rank: int, run: Run) -> object:
    return train_rank(run, rank)[0]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("world", [2, 4])
def test_native_engine_beside_others(benchmark: BenchmarkFixture, ranks: Ranks, data: Path, world: int) -> None:
    """Ratios of step times in pairs; aim: at most 1. More ranks than cores measure the scheduler too."""
    run = make_run(data, (1, 1, world), batch_size=4, steps=STEPS, warmup_steps=WARMUP)
    kinds = [native, plain, accelerated]

    def turns() -> list[list[float]]:
        found = []
        for turn in range(PAIRS):
            seconds = {}
            for kind in kinds[turn % 3 :] + kinds[: turn % 3]:
                answers = ranks(world, kind, run)
                seconds[kind] = window(run, Steps.of(answers)).seconds if kind is native else max(answers)
            found.append([seconds[kind] for kind in kinds])
        return found

    measured = benchmark.pedantic(turns, rounds=1)
    ours, *others = zip(*measured, strict=True)
    for name, theirs in zip(("plain FSDP2", "Accelerate"), others, strict=True):
        benchmark.extra_info[f"native over {name}"] = paired_ratio(ours, theirs)
