"""Shapes count what the library builds, and positions are the published ones."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from bench.contract.shapes import STOCK, RopeScaling, Shape
from bench.contract.training import Training
from bench.models.build import build
from bench.models.model import configuration, on_meta
from bench.parallel.mesh import Groups
from tests.support.runs import CPU, NoProgress, make_run

LLAMA, MIXTRAL = STOCK["llama-tiny"], STOCK["mixtral-tiny"]
PUBLISHED = {"llama3.1-8b": 8_030_261_248, "llama3.1-70b": 70_553_706_496, "mixtral-8x7b": 46_702_792_704}


def counted(shape: Shape) -> int:
    return sum(parameter.numel() for parameter in on_meta(shape, Training()).parameters())


@pytest.mark.parametrize(("name", "parameters"), PUBLISHED.items())
def test_parameters_of_the_published_models(name: str, parameters: int) -> None:
    assert counted(STOCK[name]) == STOCK[name].parameters == parameters


@pytest.mark.parametrize(
    ("shape", "changes"),
    [
        (LLAMA, {"head_dim": 32}),
        (LLAMA, {"head_dim": 8, "attention_bias": True}),
        (LLAMA, {"attention_bias": True}),
        (LLAMA, {"mlp_bias": True}),
        (LLAMA, {"tie_embeddings": True}),
        (MIXTRAL, {"head_dim": 32, "sliding_window": 8}),
        (MIXTRAL, {"tie_embeddings": True, "experts": 3, "experts_per_token": 1}),
    ],
)
def test_parameters_of_other_shapes(shape: Shape, changes: dict[str, object]) -> None:
    changed = Shape.model_validate(shape.model_dump() | changes)
    assert counted(changed) == changed.parameters


@pytest.mark.parametrize(
    ("name", "length", "gflops"),
    [
        ("llama3.1-8b", 2048, 48.25),
        ("llama3.1-8b", 4096, 51.47),
        ("llama3.1-8b", 8192, 57.91),
        ("mixtral-8x7b", 4096, 82.9),
        ("mixtral-8x7b", 8192, 89.4),
    ],
)
def test_flops_per_token(name: str, length: int, gflops: float) -> None:
    digits = len(str(gflops).partition(".")[2])
    assert round(STOCK[name].flops_per_token(length) / 1e9, digits) == gflops


def test_active_parameters_and_causal_flops() -> None:
    assert round(STOCK["mixtral-8x7b"].active_parameters / 1e9, 2) == 12.88
    llama = STOCK["llama3.1-8b"]
    full, causal = (llama.flops_per_token(8192, causal=causal) for causal in (False, True))
    assert full - causal == 6 * 32 * 32 * 256 * 8192 / 2  # 6 L n_heads (d_qk + d_v) seq, half of it


def test_recomputation_is_a_third_of_what_the_layers_have() -> None:
    """One more forward pass of all layers: of all products but those of the output head, a third."""
    for shape in (
        STOCK["llama3.1-8b"],
        STOCK["mixtral-8x7b"],
        STOCK["llama-tiny"].model_copy(update={"tie_embeddings": True}),
    ):
        head = 6.0 * (shape.embedding_parameters + shape.hidden_size)  # and the last norm
        for causal in (False, True):
            layers = shape.flops_per_token(4096, causal=causal) - head
            found = shape.recomputed_flops_per_token(4096, shape.layers, causal=causal)
            assert found == pytest.approx(layers / 3, rel=1e-9)
            assert shape.recomputed_flops_per_token(4096, 3, causal=causal) == pytest.approx(found * 3 / shape.layers)
        assert shape.recomputed_flops_per_token(4096, 0) == 0


def test_a_sliding_window_leaves_flops_out() -> None:
    length, window = 64, 16
    windowed = MIXTRAL.model_copy(update={"sliding_window": window})
    per_key = 6 * MIXTRAL.layers * MIXTRAL.heads * 2 * MIXTRAL.d_head
    weights = MIXTRAL.flops_per_token(length) - per_key * length
    assert windowed.flops_per_token(length) == weights + per_key * window
    # Without the mask's diagonal, as the half of the square is: position p sees min(p, window) keys.
    seen = sum(min(position + 0.5, window) for position in range(length)) / length
    assert windowed.flops_per_token(length, causal=True) == pytest.approx(weights + per_key * seen)
    assert windowed.flops_per_token(8) == MIXTRAL.flops_per_token(8)


def test_positions_of_llama_3_1_are_scaled_as_published() -> None:
    """Waves longer than 8192 positions are stretched by 8, those shorter than 2048 are not."""
    rotary = on_meta(STOCK["llama3.1-8b"], Training()).model.rotary_emb
    scaled = type(rotary)(configuration(STOCK["llama3.1-8b"])).inv_freq
    plain = 500_000.0 ** -(torch.arange(0, 128, 2) / 128)
    waves = 2 * math.pi / plain
    torch.testing.assert_close(scaled[waves < 2048], plain[waves < 2048])
    torch.testing.assert_close(scaled[waves > 8192], plain[waves > 8192] / 8)
    between = (waves > 2048) & (waves < 8192)
    assert between.sum() > 3
    assert ((scaled < plain) & (scaled > plain / 8))[between].all()


def test_a_sliding_window_hides_what_is_far(data: Path) -> None:
    run = make_run(data, (1, 1, 1), model="mixtral-tiny")
    tokens = torch.arange(32).view(1, 32)
    logits = []
    for window in (None, 4):
        shape = run.shape.model_copy(update={"sliding_window": window})
        model = build(run.model_copy(update={"shape": shape}), Groups(None, None, []), CPU, NoProgress().alive)
        with torch.no_grad():
            logits.append(model(input_ids=tokens, use_cache=False).logits[0])
    torch.testing.assert_close(logits[1][:4], logits[0][:4])
    assert ((logits[1] - logits[0]).abs().amax(dim=1) > 1e-6)[4:].all()


def test_linear_scaling_divides_every_frequency() -> None:
    scaled = LLAMA.model_copy(update={"rope_scaling": RopeScaling(rope_type="linear", factor=4.0)})
    kind = type(on_meta(LLAMA, Training()).model.rotary_emb)
    torch.testing.assert_close(kind(configuration(scaled)).inv_freq, kind(configuration(LLAMA)).inv_freq / 4)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"hidden_size": 65}, "is not a multiple of heads"),
        ({"head_dim": 7}, "the heads' width is 7: rotary positions need an even one"),
        ({"kv_heads": 3}, "is not a multiple of kv_heads"),
        ({"experts": 2}, "a llama has none"),
        ({"sliding_window": 8}, "a llama has no sliding_window"),
        ({"architecture": "mixtral", "experts": 2, "experts_per_token": 3}, "must be between 1 and experts"),
        (
            {"architecture": "mixtral", "experts": 2, "experts_per_token": 1, "mlp_bias": True},
            "a mixtral has no biases",
        ),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8}}, "rope_type llama3 needs high_freq_factor"),
        (
            {"rope_scaling": {"rope_type": "linear", "factor": 8, "low_freq_factor": 1}},
            "rope_type linear does not use low_freq_factor",
        ),
        (
            {"rope_scaling": STOCK["llama3.1-8b"].rope_scaling.model_dump() | {"low_freq_factor": 4}},
            "low_freq_factor should be less than high_freq_factor",
        ),
    ],
)
def test_shapes_that_cannot_be(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        Shape.model_validate(LLAMA.model_dump() | changes)
