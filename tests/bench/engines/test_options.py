"""Every option of the training does what its name says; losses over 20 steps tell most of it."""

from __future__ import annotations

import ctypes
import gc
import logging
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from torch import nn
from torch.distributed.tensor import DTensor
from torch.utils._python_dispatch import TorchDispatchMode

from bench.contract.run import Run
from bench.contract.shapes import STOCK
from bench.contract.training import Training
from bench.data.dataset import load
from bench.engines.loss import batch_loss
from bench.host.memory import MemoryMeter
from bench.models.model import on_meta
from bench.models.optim import clip
from bench.training import set_up
from tests.support.ranks import Ranks
from tests.support.runs import CPU, losses_of, make_run, mean_curve, prepare, train_rank

BOUND = 1e-5  # relative, of fp32 losses that should be the same but for the order of sums
MIXED = 5e-3  # relative, of losses in bf16-mixed against fp32: bf16 has 8 bits, an error of 2e-3 in each product


def curve(ranks: Ranks, run: Run) -> list[float]:
    return mean_curve(ranks(run.world, losses_of, run))


def largest_difference(left: list[float], right: list[float]) -> float:
    return max(abs(a - b) / abs(b) for a, b in zip(left, right, strict=True))


def types_of(rank: int, run: Run) -> tuple[set[torch.dtype], set[torch.dtype], list[float]]:
    """What parameters are held in, what a layer's weights are when it computes, and the losses."""
    _, model = prepare(run, rank)
    computed: set[torch.dtype] = set()
    (projection,) = [module for name, module in model.named_modules() if name.endswith("layers.0.mlp.gate_proj")]
    projection.register_forward_pre_hook(lambda module, _: computed.add(module.weight.dtype))
    batch_loss(model, next(iter(load(run, rank).train))).backward()
    held = {parameter.dtype for parameter in model.parameters()}
    return held, computed, losses_of(rank, run)


@pytest.mark.parametrize("layout", [(1, 1, 2), (1, 2, 1), pytest.param((2, 1, 1), marks=pytest.mark.soak)])
def test_bf16_mixed_computes_in_bf16_and_keeps_fp32(ranks: Ranks, data: Path, layout: tuple[int, int, int]) -> None:
    held, computed, _ = ranks(2, types_of, make_run(data, layout, precision="bf16-mixed"))[0]
    assert (held, computed) == ({torch.float32}, {torch.bfloat16})
    exact = curve(ranks, make_run(data, layout))
    mixed = curve(ranks, make_run(data, layout, precision="bf16-mixed"))
    assert 0 < largest_difference(mixed, exact) < MIXED
    assert exact[-1] < exact[0] - 0.2


@pytest.mark.parametrize("layout", [(1, 1, 2), (1, 2, 1), pytest.param((1, 2, 2), marks=pytest.mark.soak), (2, 1, 2)])
def test_accumulation_equals_the_larger_batch(ranks: Ranks, data: Path, layout: tuple[int, int, int]) -> None:
    large = curve(ranks, make_run(data, layout, batch_size=4, steps=8))
    small = curve(ranks, make_run(data, layout, batch_size=2, accumulation=2, steps=8))
    assert largest_difference(small, large) < BOUND


def norms_after_clipping(rank: int, run: Run) -> tuple[float, float]:
    """Norm of the group's gradient before and after."""
    _, model = prepare(run, rank)
    batch_loss(model, next(iter(load(run, rank).train))).backward()

    def norm() -> float:
        total = nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])
        return float(total.full_tensor() if isinstance(total, DTensor) else total)

    before = norm()
    clip(model, run.training.clip_norm)
    return before, norm()


@pytest.mark.parametrize("layout", [(2, 1, 2), (2, 2, 1)])
def test_each_federated_group_is_clipped_by_its_own_norm(
    ranks: Ranks, data: Path, layout: tuple[int, int, int]
) -> None:
    before, after = zip(*ranks(4, norms_after_clipping, make_run(data, layout, clip_norm=0.25)), strict=True)
    assert after == pytest.approx([0.25] * 4, rel=1e-4)
    assert before[0] == pytest.approx(before[1]) != before[2]
    assert before[2] == pytest.approx(before[3])
    loose = ranks(4, norms_after_clipping, make_run(data, layout, clip_norm=100.0))
    assert [left for left, _ in loose] == [right for _, right in loose]


def test_clipping_agrees_with_one_process(ranks: Ranks, data: Path) -> None:
    settings = {"steps": 8, "clip_norm": 0.25, "optimizer": "sgd", "learning_rate": 1.0, "lr_warmup_fraction": 0.0}
    alone = curve(ranks, make_run(data, (1, 1, 1), batch_size=8, **settings))
    for layout in [(1, 1, 4), (1, 2, 2), (1, 4, 1)]:
        assert largest_difference(curve(ranks, make_run(data, layout, **settings)), alone) < BOUND, layout
    free = curve(ranks, make_run(data, (1, 1, 1), batch_size=8, **settings | {"clip_norm": 0.0}))
    assert largest_difference(free, alone) > 10 * BOUND, "the clipping was never felt"


def activations(rank: int, run: Run) -> tuple[list[float], int]:
    """Losses of a few steps, and the peak resident set of a forward and backward pass."""
    losses = train_rank(run, rank)[0].losses
    _, model = prepare(run, rank)
    batch = next(iter(load(run, rank).train))
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # else what the steps before have freed is used again, and the peak hides in it
    meter = MemoryMeter(CPU)
    batch_loss(model, batch).backward()
    peak = meter.read()["peak"]
    assert peak is not None
    return losses, peak


@pytest.mark.soak
def test_checkpointing_gives_the_same_loss_to_the_bit_and_takes_less_memory(ranks: Ranks, data: Path) -> None:
    deep = STOCK["llama-tiny"].model_copy(update={"layers": 6, "intermediate_size": 1024, "vocab_size": 256})
    found = {}
    for kind in ("full", "selective", "none"):
        run = make_run(data, (1, 1, 2), batch_size=64, activation_checkpointing=kind, steps=4, warmup_steps=0)
        found[kind] = ranks(2, activations, run.model_copy(update={"shape": deep}))[0]
    assert found["full"][0] == found["selective"][0] == found["none"][0]
    assert found["full"][1] < 0.8 * found["none"][1]
    assert found["full"][1] < found["selective"][1] < found["none"][1]


def called_ops(rank: int, run: Run) -> set[str]:
    _, model = prepare(run, rank)
    batch = next(iter(load(run, rank).train))
    with torch.profiler.profile() as profile:
        batch_loss(model, batch)
    return {event.key for event in profile.key_averages()}


def test_attention_is_the_one_that_is_asked_for(ranks: Ranks, data: Path) -> None:
    fused = "aten::scaled_dot_product_attention"
    sdpa, eager = (make_run(data, (1, 1, 2), attention=kind) for kind in ("sdpa", "eager"))
    assert fused in ranks(2, called_ops, sdpa)[0]
    assert fused not in ranks(2, called_ops, eager)[0]
    assert largest_difference(curve(ranks, eager), curve(ranks, sdpa)) < BOUND


@pytest.mark.skipif(find_spec("flash_attn") is not None, reason="flash-attn is installed")
def test_flash_attention_needs_its_package() -> None:
    with pytest.raises(ImportError, match=r"[Ff]lash"):
        on_meta(STOCK["llama-tiny"], Training(attention="flash"))


def test_experts_are_computed_as_is_asked_for(ranks: Ranks, data: Path) -> None:
    marks = {"eager": "aten::one_hot", "batched_mm": "aten::bmm", "grouped_mm": "aten::_grouped_mm"}
    curves = {}
    for kind, mark in marks.items():
        run = make_run(data, (1, 1, 2), model="mixtral-tiny", experts=kind)
        called = ranks(2, called_ops, run)[0]
        assert mark in called, (kind, sorted(called))
        curves[kind] = curve(ranks, run)
    assert largest_difference(curves["eager"], curves["grouped_mm"]) < BOUND
    assert largest_difference(curves["batched_mm"], curves["grouped_mm"]) < BOUND


def experts_met(rank: int, run: Run) -> tuple[set[int], list[float]]:
    """Experts of the first layer that this rank's first batch meets, and the losses of a whole run."""
    _, model = prepare(run, rank)
    met: set[int] = set()
    (gate,) = [module for name, module in model.named_modules() if name.endswith("layers.0.mlp.gate")]
    gate.register_forward_hook(lambda _, __, output: met.update(output[-1].flatten().tolist()))
    batch_loss(model, next(iter(load(run, rank).train)))
    return met, losses_of(rank, run)


@pytest.mark.parametrize("experts", [pytest.param("eager", marks=pytest.mark.soak), "grouped_mm"])
def test_experts_that_some_ranks_do_not_use(ranks: Ranks, data: Path, experts: str) -> None:
    """Ranks whose few tokens meet different experts still take part in every collective."""
    many = make_run(data, (1, 1, 1), model="mixtral-tiny").shape.model_copy(update={"experts": 16})
    for layout in [(1, 1, 4), (1, 2, 2), (1, 4, 1)]:
        run = make_run(data, layout, model="mixtral-tiny", experts=experts, batch_size=1, sequence_length=2)
        answers = ranks(4, experts_met, run.model_copy(update={"shape": many}))
        met = [experts_of_rank for experts_of_rank, _ in answers]
        assert set().union(*met) > set.intersection(*met), "the ranks met the same experts, which proves nothing"
        assert all(len(losses) == 20 for _, losses in answers)


def set_up_as_told(rank: int, run: Run) -> tuple[bool, int, int]:
    set_up(run, rank)
    told = torch.are_deterministic_algorithms_enabled(), logging.getLogger().level, torch.initial_seed()
    torch.use_deterministic_algorithms(False)
    logging.getLogger().setLevel(logging.WARNING)
    return told


def test_a_rank_is_set_up_as_told(ranks: Ranks, data: Path) -> None:
    run = make_run(data, (1, 1, 1), deterministic=True, log_level="error", seed=5)
    assert ranks(1, set_up_as_told, run) == [(True, logging.ERROR, 5)]
    assert ranks(1, set_up_as_told, make_run(data, (1, 1, 1))) == [(False, logging.INFO, 1)]


def test_data_are_loaded_by_processes_of_their_own(data: Path) -> None:
    def processes(workers: int) -> int:
        batches = iter(load(make_run(data, (1, 1, 1), workers=workers), 0).train)
        next(batches)
        return len(psutil.Process().children()) - others

    others = len(psutil.Process().children())
    assert [processes(0), processes(2)] == [0, 2]


class Events(TorchDispatchMode):
    """The order of what gathers and what multiplies."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.name() in ("c10d::_allgather_base_", "aten::mm"):
            self.names.append(func.name())
        return func(*args, **(kwargs or {}))


def gathered_ahead(rank: int, run: Run) -> int:
    """All-gathers before the first matrix product."""
    _, model = prepare(run, rank)
    batch = next(iter(load(run, rank).train))
    with Events() as events:
        batch_loss(model, batch).backward()
    return events.names.index("aten::mm")


def test_layers_are_gathered_ahead(ranks: Ranks, data: Path) -> None:
    """The root and the first layer, and as many layers more as are asked for."""
    deep = STOCK["llama-tiny"].model_copy(update={"layers": 5})
    for ahead in (0, 1, 3):
        run = make_run(data, (1, 1, 2), prefetch=ahead).model_copy(update={"shape": deep})
        assert ranks(2, gathered_ahead, run) == [2 + ahead] * 2
