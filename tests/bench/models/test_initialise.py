"""New weights come part by part, whatever the strategy, and no rank holds the model whole."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from bench.contract.run import Run
from bench.contract.shapes import STOCK, Shape
from bench.contract.training import Training
from bench.host.memory import MemoryMeter
from bench.models import initialise
from bench.models.build import build
from bench.models.initialise import NewValues, materialise
from bench.models.model import on_meta
from bench.models.region import Region, inside
from bench.parallel.mesh import Groups, make_groups
from bench.parallel.sharding import shard
from tests.support.ranks import Ranks
from tests.support.runs import CPU, NoProgress, full_parameters, make_run, prepare

ALONE = Groups(None, None, [])
MIB = 2**20

# Mixtral-8x7B with all sizes divided, so that one layer's stacked experts are larger than a rank's share of the model.
SCALED_DOWN = STOCK["mixtral-8x7b"].model_copy(
    update={"hidden_size": 1024, "intermediate_size": 1792, "layers": 2, "vocab_size": 4096}
)
LARGEST_MATRIX = 4096 * 1024 * 4  # the embedding; an expert's is 3584 x 1024
STACK = 8 * 3584 * 1024 * 4


def initial_in_small_blocks(rank: int, run: Run, block: int) -> dict[str, torch.Tensor]:
    before, initialise.BLOCK = initialise.BLOCK, block
    try:
        return full_parameters(prepare(run, rank)[1])
    finally:
        initialise.BLOCK = before


@pytest.mark.parametrize("model", ["llama-tiny", "mixtral-tiny"])
def test_blocks_and_uneven_shards_meet(ranks: Ranks, data: Path, monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    """Blocks of 5 rows of 32 end inside shards; 3 ranks divide no dimension, so that the last shard is padded."""
    monkeypatch.setattr(initialise, "BLOCK", 5 * 32)
    alone = full_parameters(build(make_run(data, (1, 1, 1), model=model), ALONE, CPU, NoProgress().alive))
    assert all(value.std() > 0 for value in alone.values() if value.dim() > 1)
    for layout in [(1, 1, 4), (1, 1, 3), (1, 2, 4), (2, 2, 2)]:
        run = make_run(data, layout, model=model)
        for parameters in ranks(run.world, initial_in_small_blocks, run, 5 * 32):
            assert all(torch.equal(parameters[name], value) for name, value in alone.items()), layout


def test_experts_and_blocks_are_drawn_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(initialise, "BLOCK", 64)
    values = NewValues(seed=1, std=0.5, device=CPU)
    shape = torch.Size((3, 8, 32))
    parts = [value for _, value in values.within("w", shape, tuple(range(size) for size in shape))]
    assert len(parts) == 12
    assert all(not torch.equal(one, other) for i, one in enumerate(parts) for other in parts[:i])
    assert torch.cat(parts, dim=1).std().item() == pytest.approx(0.5, rel=0.1)


@pytest.mark.parametrize("tied", [False, True])
def test_a_padding_token_has_the_library_s_embedding(
    ranks: Ranks, data: Path, monkeypatch: pytest.MonkeyPatch, tied: bool
) -> None:
    """Zero at first and without a gradient from the input; a tied head still trains it."""
    monkeypatch.setattr(initialise, "BLOCK", 5 * 32)
    run = make_run(data, (1, 1, 3))
    run = run.model_copy(update={"shape": run.shape.model_copy(update={"padding_token": 7, "tie_embeddings": tied})})
    model = build(run, ALONE, CPU, NoProgress().alive)
    embedding = model.get_parameter(initialise.EMBEDDING)
    assert [row for row in range(len(embedding)) if not embedding[row].any()] == [7]
    ids = torch.tensor([[7, 1, 7, 2]])
    model(input_ids=ids, labels=ids).loss.backward()
    assert embedding.grad is not None
    assert embedding.grad[1].any()
    assert embedding.grad[7].any() == tied
    for parameters in ranks(3, initial_in_small_blocks, run, 5 * 32):
        assert torch.equal(parameters[initialise.EMBEDDING], embedding)


def test_biases_start_from_zero(data: Path) -> None:
    run = make_run(data, (1, 1, 1))
    shape = run.shape.model_copy(update={"attention_bias": True, "mlp_bias": True})
    model = build(run.model_copy(update={"shape": shape}), ALONE, CPU, NoProgress().alive)
    biases = {name: value for name, value in model.named_parameters() if name.endswith(".bias")}
    assert len(biases) == 2 * 7
    assert not any(value.any() for value in biases.values())
    assert (model.model.norm.weight == 1).all()


class WholeTensors(NewValues):
    """The negative control: every parameter is drawn whole, and then cut."""

    def within(self, name: str, shape: torch.Size, wanted: Region) -> Iterator[tuple[Region, torch.Tensor]]:
        everything = tuple(range(size) for size in shape)
        yield wanted, self._draw(name, everything)[inside(wanted, everything)]


def peak_of_building(rank: int, run: Run, shape: Shape, values: type[NewValues]) -> int:
    gc.collect()  # what earlier tests left, so that its memory is not used again unseen
    ctypes.CDLL(None).malloc_trim(0)
    meter = MemoryMeter(CPU)
    groups = make_groups(run, rank, CPU)
    model = on_meta(shape, Training())
    shard(model, run.training, groups.shard_mesh, run.layout.shard)
    materialise(model, values(1, 0.02, CPU), CPU, NoProgress().alive)
    return meter.read()["peak"]


def test_a_rank_holds_its_share_and_one_tensor(ranks: Ranks, data: Path) -> None:
    """Scaled-down Mixtral-8x7B of 0.4 GB over 4 ranks; 16 MiB are left for the communicators' and Python's own."""
    run = make_run(data, (1, 1, 4))
    share = SCALED_DOWN.parameters * 4 / run.world
    bound = share + LARGEST_MATRIX + 16 * MIB
    assert bound < share + STACK, "whole stacks of experts would not be seen"
    for peak in ranks(run.world, peak_of_building, run, SCALED_DOWN, NewValues):
        assert share * 0.95 < peak < bound
    assert min(ranks(run.world, peak_of_building, run, SCALED_DOWN, WholeTensors)) > bound
