"""Hugging Face models from shapes, on the meta device."""

from __future__ import annotations

import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    PretrainedConfig,
    PreTrainedModel,
)

from bench.contract.shapes import Shape
from bench.contract.training import Training
from bench.host.dtypes import DTYPES

_ATTENTION = {"sdpa": "sdpa", "eager": "eager", "flash": "flash_attention_2"}  # the library's names


def configuration(shape: Shape) -> PretrainedConfig:
    """Return the Hugging Face configuration of a shape. The router's auxiliary loss is off, the library's default."""
    scaling = shape.rope_scaling.model_dump(exclude_none=True) if shape.rope_scaling else {}
    common = {
        "vocab_size": shape.vocab_size,
        "hidden_size": shape.hidden_size,
        "intermediate_size": shape.intermediate_size,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.d_head,
        "max_position_embeddings": shape.max_positions,
        "rms_norm_eps": shape.rms_norm_eps,
        "initializer_range": shape.initializer_range,
        "tie_word_embeddings": shape.tie_embeddings,
        "rope_parameters": {"rope_theta": shape.rope_theta, "rope_type": "default"} | scaling,
        "use_cache": False,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": shape.padding_token,
    }
    if shape.architecture == "llama":
        return LlamaConfig(**common, attention_bias=shape.attention_bias, mlp_bias=shape.mlp_bias)
    return MixtralConfig(
        **common,
        num_local_experts=shape.experts,
        num_experts_per_tok=shape.experts_per_token,
        sliding_window=shape.sliding_window,
    )


def on_meta(shape: Shape, training: Training) -> PreTrainedModel:
    """Return the model on the meta device, in the type of its stored parameters.

    Raises:
        ImportError: `training.attention` is flash, and flash-attn is not installed.

    """
    config = configuration(shape)
    config._attn_implementation = _ATTENTION[training.attention]
    kind = LlamaForCausalLM
    if shape.architecture == "mixtral":
        config._experts_implementation = training.experts
        kind = MixtralForCausalLM
    default = torch.get_default_dtype()
    torch.set_default_dtype(DTYPES[training.held])
    try:
        with torch.device("meta"):
            model = kind(config)
            model.tie_weights()  # transformers 5.0 leaves them apart here, and would train two
            return model
    finally:
        torch.set_default_dtype(default)
