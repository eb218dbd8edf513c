"""Shapes from config.json: the library's own model of the same file, or refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, MixtralConfig, PretrainedConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from bench.contract.training import Training
from bench.models.model import configuration, on_meta
from matrix.config.models.config_json import read_shape
from matrix.errors import InputError

SMALL = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
LLAMA3 = {"rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
CLASSES = {"llama": LlamaConfig, "mixtral": MixtralConfig}
COMPARED = (
    *SMALL,
    "num_key_value_heads",
    "max_position_embeddings",
    "rms_norm_eps",
    "initializer_range",
    "tie_word_embeddings",
    "hidden_act",
    "attention_dropout",
)
OWN = {
    "llama": ("attention_bias", "mlp_bias"),
    "mixtral": ("num_local_experts", "num_experts_per_tok", "sliding_window", "router_jitter_noise"),
}


def by_library(config: dict[str, Any]) -> PretrainedConfig:
    made: PretrainedConfig = CLASSES[config["model_type"]].from_dict(json.loads(json.dumps(config)))
    return made


def frequencies(config: PretrainedConfig) -> list[float]:
    with torch.device("cpu"):
        found: list[float] = LlamaRotaryEmbedding(config).inv_freq.tolist()
    return found


def compare(folder: Path, config: dict[str, Any]) -> bool:
    """Check one configuration; returns False where it is refused."""
    file = folder / "config.json"
    file.write_text(json.dumps(config), encoding="utf-8")
    try:
        shape = read_shape(file)
    except InputError:
        return False
    ours, theirs = configuration(shape), by_library(config)
    for key in (*COMPARED, *OWN[config["model_type"]]):
        assert getattr(ours, key) == getattr(theirs, key), key
    assert ours.head_dim == (theirs.head_dim or theirs.hidden_size // theirs.num_attention_heads)
    assert frequencies(ours) == frequencies(theirs)
    with torch.device("meta"):
        parameters = {name: each.shape for name, each in on_meta(shape, Training()).named_parameters()}
        library = type(on_meta(shape, Training()))(theirs)
    assert {name: each.shape for name, each in library.named_parameters()} == parameters
    assert on_meta(shape, Training()).get_input_embeddings().padding_idx == library.get_input_embeddings().padding_idx
    assert sum(each.numel() for each in parameters.values()) == shape.parameters
    return True


def maybe(*values: object) -> st.SearchStrategy[object]:
    """One of the values, or no key at all (the marker `...`)."""
    return st.sampled_from([..., *values])


def rarely(*values: object) -> st.SearchStrategy[object]:
    """Mostly no key: of many that are refused each would else hide the others."""
    return st.sampled_from([*[...] * 12, *values])


ROPE = st.fixed_dictionaries(
    {
        "rope_type": maybe("default", "linear", "llama3", "llama3"),
        "type": rarely("linear", "llama3", "yarn"),
        "factor": st.sampled_from([2.0, 8]),
        "low_freq_factor": st.sampled_from([1.0, 1]),
        "high_freq_factor": st.sampled_from([4.0, 8.0]),
        "original_max_position_embeddings": maybe(64, 128),
        "rope_theta": maybe(5000.0, 20_000),
        "partial_rotary_factor": rarely(1.0, 0.5),
    }
)
CONFIG = st.fixed_dictionaries(
    {
        "model_type": st.sampled_from(["llama", "mixtral"]),
        **{key: st.sampled_from([value, value, 2 * value]) for key, value in SMALL.items()},
        "num_key_value_heads": st.sampled_from([None, 1, 2, 4, 4]),
        "head_dim": maybe(None, 8, 16),
        "max_position_embeddings": maybe(256, 512),
        "rms_norm_eps": maybe(1e-5, 1e-6),
        "initializer_range": maybe(0.02, 0.1),
        "tie_word_embeddings": maybe(True, False),
        "pad_token_id": maybe(None, 0, 63, -1),
        "attention_bias": maybe(True, False),
        "mlp_bias": maybe(True, False),
        "hidden_act": rarely("silu", "gelu"),
        "attention_dropout": rarely(0.0, 0.1),
        "rope_theta": maybe(10_000.0, 30_000),
        "rope_scaling": st.one_of(st.sampled_from([..., None, {}]), ROPE),
        "rope_parameters": st.one_of(st.sampled_from([..., None, {}]), ROPE),
        "original_max_position_embeddings": maybe(64, 32),
        "partial_rotary_factor": rarely(1.0, 0.25),
        "num_local_experts": maybe(2, 4),
        "num_experts": maybe(2, 4),
        "num_experts_per_tok": maybe(1, 2),
        "sliding_window": maybe(None, 16),
        "output_router_logits": rarely(False, True),
        "per_layer_config": rarely({"1": {"intermediate_size": 16}}),
        "pretraining_tp": maybe(1),
        "num_experts_per_token": maybe(1),
    }
)


def without_gaps(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_gaps(inner) for key, inner in value.items() if inner is not ...}
    return value


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(CONFIG)
def test_random_configurations_are_the_library_s_model_or_refused(tmp_path: Path, config: dict[str, Any]) -> None:
    accepted = compare(tmp_path, without_gaps(config))
    event("accepted" if accepted else "refused")


@pytest.mark.parametrize(
    "more",
    [
        {"rope_scaling": LLAMA3, "original_max_position_embeddings": 64},
        {"rope_scaling": LLAMA3 | {"original_max_position_embeddings": 128}, "original_max_position_embeddings": 64},
        {"rope_scaling": {}, "rope_parameters": LLAMA3 | {"rope_theta": 500.0}},
        {"rope_scaling": None, "rope_parameters": {"rope_type": "linear", "factor": 2.0}},
        {"rope_parameters": LLAMA3, "max_position_embeddings": 512},
        {"model_type": "mixtral", "num_key_value_heads": 2, "num_experts": 4},
        {"model_type": "mixtral", "num_key_value_heads": 2, "num_experts": 4, "num_local_experts": 4},
        {"num_key_value_heads": None},
        {"model_type": "mixtral", "num_attention_heads": 8, "num_key_value_heads": 4},
        {"num_experts": 4},  # of no meaning for a Llama
        {"pad_token_id": 0},
        {"pad_token_id": -1},
        {"model_type": "mixtral", "num_key_value_heads": 2, "pad_token_id": 3},
    ],
)
def test_keys_in_other_places_and_under_other_names(tmp_path: Path, more: dict[str, Any]) -> None:
    assert compare(tmp_path, {"model_type": "llama", **SMALL, **more})


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ({"num_experts": 4, "num_local_experts": 8}, "num_experts: should be 8 like num_local_experts, not 4"),
        ({"per_layer_config": {"0": {}}}, "per_layer_config: is not supported: all layers have one configuration here"),
        ({"num_key_value_heads": None}, "num_key_value_heads: should have a value, not null"),
        ({"rope_theta": float("inf")}, "Infinity is not a number of JSON"),
        ({"num_key_value_heads": 2, "pad_token_id": 64}, "the padding token 64 is not in a vocabulary of 64"),
        ({"rope_theta": float("nan")}, "NaN is not a number of JSON"),
    ],
)
def test_what_would_be_another_model_is_refused(tmp_path: Path, more: dict[str, Any], fault: str) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"model_type": "mixtral", **SMALL, **more}), encoding="utf-8")
    with pytest.raises(InputError, match=fault):
        read_shape(file)
