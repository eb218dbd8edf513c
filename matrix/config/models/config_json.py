"""Convert a Hugging Face `config.json` to a shape, or report what is not supported. Does not import torch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bench.contract.shapes import Shape
from matrix.errors import InputError

_KEYS = {
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "intermediate_size": "intermediate_size",
    "num_hidden_layers": "layers",
    "num_attention_heads": "heads",
    "num_key_value_heads": "kv_heads",
    "head_dim": "head_dim",
    "max_position_embeddings": "max_positions",
    "rms_norm_eps": "rms_norm_eps",
    "initializer_range": "initializer_range",
    "tie_word_embeddings": "tie_embeddings",
    "pad_token_id": "padding_token",
}
_OWN_KEYS = {
    "llama": {"attention_bias": "attention_bias", "mlp_bias": "mlp_bias"},
    "mixtral": {
        "num_local_experts": "experts",
        "num_experts_per_tok": "experts_per_token",
        "sliding_window": "sliding_window",
    },
}
_DEFAULTS: dict[str, dict[str, Any]] = {
    "llama": {"max_position_embeddings": 2048, "rms_norm_eps": 1e-6, "rope_theta": 10_000.0},
    "mixtral": {
        "num_key_value_heads": 8,
        "max_position_embeddings": 131_072,
        "rms_norm_eps": 1e-5,
        "rope_theta": 1_000_000.0,
        "num_local_experts": 8,
        "num_experts_per_tok": 2,
    },
}
"""Defaults of transformers' LlamaConfig and MixtralConfig, where they differ from those of `Shape`."""

_CLASSES = {"llama": "LlamaForCausalLM", "mixtral": "MixtralForCausalLM"}
_ONLY: dict[str, tuple[Any, ...]] = {
    "hidden_act": ("silu", "swish"),
    "attention_dropout": (0,),
    "partial_rotary_factor": (1,),
    "router_jitter_noise": (0,),
    "output_router_logits": (False,),
}
"""Keys that change the training, and the supported values. Messages suggest the first."""

_ROPE_TYPES = ("default", "linear", "llama3")
_ORIGINAL = "original_max_position_embeddings"
_ROPE_KEYS = ("factor", "low_freq_factor", "high_freq_factor", _ORIGINAL)

_NULLABLE = {
    "llama": ("num_key_value_heads", "head_dim", "pad_token_id"),
    "mixtral": ("head_dim", "sliding_window", "pad_token_id"),
}
"""Keys that may be null in LlamaConfig and MixtralConfig."""

_REFUSED = {
    "auto_map": "models with custom code are not trained here",
    "quantization_config": "give the model before quantisation",
    "per_layer_config": "all layers have one configuration here",
}
"""Keys that make another model of it, and what to do."""

_OTHER_NAMES = {"mixtral": {"num_experts": "num_local_experts"}}
"""Names that the library takes for others (MixtralConfig.attribute_map)."""


def read_shape(file: Path) -> Shape:
    """Return the shape that a `config.json` of a Llama or Mixtral describes, as written by transformers 4 or 5.

    Keys unknown to the library's LlamaConfig and MixtralConfig have no effect there and are ignored here.

    Raises:
        InputError: one sentence per key that is missing, invalid or not supported.

    """
    written = _read(file)
    config = {key: value for key, value in written.items() if value is not None}
    faults = [*_nulls(written), *_unsupported(config)]
    if not faults:
        try:
            return _shape(config)
        except ValidationError as error:
            faults = list(_wrong(error, config["model_type"]))
    raise InputError("\n".join(f"{file}: {fault}" for fault in faults))


def _read(file: Path) -> dict[str, Any]:
    try:
        config = json.loads(file.read_text(encoding="utf-8"), parse_constant=_refuse)
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{file}: should be JSON: {error}") from error
    if not isinstance(config, dict):
        raise InputError(f"{file}: should be a mapping, as in the config.json of a Llama or Mixtral")
    return config


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not a number of JSON")


def _nulls(config: dict[str, Any]) -> Iterator[str]:
    """Name keys that are null where the library wants a value; a missing key would have its default."""
    kind = str(config.get("model_type"))
    for key in _KEYS | _OWN_KEYS.get(kind, {}):
        if config.get(key, key) is None and key not in _NULLABLE.get(kind, _KEYS):
            yield f"{key}: should have a value, not null"


def _unsupported(config: dict[str, Any]) -> Iterator[str]:
    kind = config.get("model_type")
    if not isinstance(kind, str) or kind not in _CLASSES:
        yield f"model_type: should be one of {', '.join(_CLASSES)}, not {kind!r}"
        return
    classes = config.get("architectures", [_CLASSES[kind]])
    if classes != [_CLASSES[kind]]:
        yield f"architectures: should be [{_CLASSES[kind]}], not {classes!r}"
    for key, why in _REFUSED.items():
        if key in config:
            yield f"{key}: is not supported: {why}"
    for other, key in _OTHER_NAMES.get(kind, {}).items():
        if other in config and config.get(key, config[other]) != config[other]:
            yield f"{other}: should be {config[key]!r} like {key}, not {config[other]!r}"
    for key, values in _ONLY.items():
        if config.get(key, values[0]) not in values:
            yield f"{key}: should be {json.dumps(values[0])}, not {config[key]!r}"
    key, rope = _rope(config)
    if not isinstance(rope, dict):
        yield f"{key}: should be a mapping, not {rope!r}"
        return
    if _rope_type(rope) not in _ROPE_TYPES:
        yield f"{key}.rope_type: should be one of {', '.join(_ROPE_TYPES)}, not {_rope_type(rope)!r}"
    if rope.get("partial_rotary_factor", 1) != 1:
        yield f"{key}.partial_rotary_factor: should be 1, not {rope['partial_rotary_factor']!r}"
    if any(isinstance(value, dict) for value in rope.values()):
        yield f"{key}: should apply to all layers: one mapping without nested mappings"


def _rope(config: dict[str, Any]) -> tuple[str, Any]:
    """Return the rotary settings besides `rope_theta`, with their key.

    The key is `rope_scaling` up to transformers 4 and `rope_parameters` from 5 on, where an empty `rope_scaling` does
    not hide `rope_parameters` (transformers, modeling_rope_utils.py: convert_rope_params_to_dict).
    """
    key = "rope_scaling" if config.get("rope_scaling") else "rope_parameters"
    return key, config.get(key) or {}


def _rope_type(rope: dict[str, Any]) -> object:
    return rope.get("rope_type", rope.get("type", "default"))


def _shape(config: dict[str, Any]) -> Shape:
    kind = config["model_type"]
    named = {_OTHER_NAMES.get(kind, {}).get(key, key): value for key, value in config.items()}
    given = _DEFAULTS[kind] | named
    fields = {field: given[key] for key, field in (_KEYS | _OWN_KEYS[kind]).items() if key in given}
    fields.setdefault("kv_heads", fields.get("heads"))
    if "head_dim" in fields and _is_usual(fields):
        del fields["head_dim"]  # so that equal shapes compare equal
    if _counts_from_the_end(fields):
        fields["padding_token"] += fields["vocab_size"]
    _, rope = _rope(config)
    fields["rope_theta"] = rope.get("rope_theta", given["rope_theta"])
    if _rope_type(rope) != "default":
        scaling = {key: rope[key] for key in _ROPE_KEYS if rope.get(key) is not None}
        if _rope_type(rope) == "llama3":
            # The library takes the one beside the rotary settings first (standardize_rope_params).
            of_rope = scaling.get(_ORIGINAL, given["max_position_embeddings"])
            scaling[_ORIGINAL] = config.get(_ORIGINAL, of_rope)
        fields["rope_scaling"] = {"rope_type": _rope_type(rope), **scaling}
    return Shape.model_validate({"architecture": kind, **fields}, strict=True)


def _is_usual(fields: dict[str, Any]) -> bool:
    width, heads, hidden = (fields.get(key) for key in ("head_dim", "heads", "hidden_size"))
    return isinstance(width, int) and isinstance(heads, int) and width * heads == hidden


def _counts_from_the_end(fields: dict[str, Any]) -> bool:
    """Return True for a negative `pad_token_id`: torch counts the rows of an embedding from the end, as a list's."""
    token, size = fields.get("padding_token"), fields.get("vocab_size")
    return isinstance(token, int) and isinstance(size, int) and -size <= token < 0


def _wrong(error: ValidationError, kind: str) -> Iterator[str]:
    keys = {field: key for key, field in (_KEYS | _OWN_KEYS[kind]).items()}
    for details in error.errors():
        place = ".".join(str(keys.get(str(step), step)) for step in details["loc"])
        if details["type"] == "missing":
            yield f"the key {place!r} is missing"
            continue
        message = details["msg"].removeprefix("Value error, ").replace("Input should be", "should be")
        shown = "" if details["type"] == "value_error" else f", not {details['input']!r}"
        yield f"{place}: {message}{shown}" if place else message
