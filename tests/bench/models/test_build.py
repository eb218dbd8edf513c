"""Initial weights are a function of seed and name, for every strategy and world size."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bench.contract.run import Run
from bench.contract.shapes import STOCK
from bench.models.build import build
from bench.models.optim import build_optimizer
from bench.models.state import state_bytes
from bench.parallel.mesh import Groups
from tests.support.ranks import Ranks
from tests.support.runs import CPU, NoProgress, full_parameters, make_run, prepare, train_rank

ALONE = Groups(None, None, [])
LAYOUTS = [(1, 1, 2), (1, 1, 4), (1, 2, 2), (1, 4, 1), (2, 1, 2), (2, 2, 2), (3, 1, 2), (1, 1, 8), (4, 1, 1)]


def initial_state(rank: int, run: Run) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    _, model = prepare(run, rank)
    inner = model.module if hasattr(model, "module") else model
    return full_parameters(model), {name: buffer.clone() for name, buffer in inner.named_buffers()}


@pytest.mark.parametrize("model", ["llama-tiny", "mixtral-tiny"])
def test_initial_weights_do_not_depend_on_the_layout(ranks: Ranks, data: Path, model: str) -> None:
    alone = build(make_run(data, (1, 1, 1), model=model), ALONE, CPU, NoProgress().alive)
    expected, buffers = full_parameters(alone), dict(alone.named_buffers())
    frequencies = buffers["model.rotary_emb.inv_freq"]
    assert frequencies[0] == 1.0
    assert frequencies[-1] < 0.1, "rotary frequencies were not computed"
    for layout in LAYOUTS:
        run = make_run(data, layout, model=model)
        for parameters, own_buffers in ranks(run.world, initial_state, run):
            assert parameters.keys() == expected.keys()
            assert all(torch.equal(parameters[name], value) for name, value in expected.items()), layout
            assert all(torch.equal(own_buffers[name], value) for name, value in buffers.items()), layout


def test_weights_differ_by_seed_and_by_name(data: Path) -> None:
    one, other = (
        full_parameters(build(make_run(data, (1, 1, 1), seed=seed), ALONE, CPU, NoProgress().alive)) for seed in (1, 2)
    )
    name = "model.layers.0.self_attn.q_proj.weight"
    assert not torch.equal(one[name], other[name])
    assert not torch.equal(one[name], one[name.replace("layers.0", "layers.1")])
    assert one[name].std().item() == pytest.approx(STOCK["llama-tiny"].initializer_range, rel=0.1)
    assert torch.equal(one["model.norm.weight"], torch.ones(32))


def counted_state(rank: int, run: Run) -> int:
    _, model = train_rank(run, rank)
    optimizer = build_optimizer(model, run.training)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    return state_bytes(model, optimizer)


def test_state_is_what_the_shard_degree_predicts(ranks: Ranks, data: Path) -> None:
    """16 bytes a parameter in fp32 with AdamW, 8 in bf16, divided by the shard degree; within 1 %."""
    for model, layout, precision, per_parameter in [
        ("llama-tiny", (1, 1, 4), "fp32", 16),
        ("llama-tiny", (1, 2, 2), "bf16", 8),
        ("llama-tiny", (1, 2, 1), "fp32", 16),
        ("mixtral-tiny", (1, 1, 8), "fp32", 16),  # more ranks than experts
    ]:
        run = make_run(data, layout, model=model, steps=4, warmup_steps=0, precision=precision)
        counted = max(ranks(run.world, counted_state, run))
        assert counted == pytest.approx(run.shape.parameters * per_parameter / run.layout.shard, rel=0.01)


def test_tied_embeddings_are_one_parameter(data: Path) -> None:
    run = make_run(data, (1, 1, 1))
    tied = run.model_copy(update={"shape": run.shape.model_copy(update={"tie_embeddings": True})})
    model = build(tied, ALONE, CPU, NoProgress().alive)
    assert sum(parameter.numel() for parameter in model.parameters()) == tied.shape.parameters
    assert tied.shape.parameters == run.shape.parameters - run.shape.embedding_parameters
