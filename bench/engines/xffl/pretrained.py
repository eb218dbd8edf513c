"""Models for `bench/config.py`: from a folder in Hugging Face's format, or from a shape."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import AutoConfig

from bench.contract.shapes import Shape
from bench.contract.training import Training
from bench.models.initialise import NewValues, materialise
from bench.models.model import on_meta


def from_folder(config: Any, state: Any) -> nn.Module:  # noqa: ANN401
    """Return the folder's model in bf16, with its weights or new ones, on the library's initial device."""
    info = config.model_info
    common = {"local_files_only": not info.online, "attn_implementation": info.attention, "dtype": torch.bfloat16}
    if not info.new_weights:
        loaded: nn.Module = info.model_type.from_pretrained(
            str(info.path), use_cache=False, device_map=state.init_device, **common
        )
        return loaded
    settings = AutoConfig.from_pretrained(str(info.path), use_cache=False, trust_remote_code=False, **common)
    torch.manual_seed(config.seed or 0)  # the same values on every rank
    with state.init_device:
        made: nn.Module = info.model_type._from_config(settings, dtype=torch.bfloat16)
    return made


def from_shape(shape: Shape, config: Any, state: Any) -> nn.Module:  # noqa: ANN401
    """Return a model in bf16 with new weights."""
    model = on_meta(shape, Training(precision="bf16"))
    if state.init_device.type != "meta":  # on meta, the values come from another rank
        values = NewValues(config.seed or 0, shape.initializer_range, state.init_device, shape.padding_token)
        materialise(model, values, state.init_device, _quiet)
    model.train()
    whole: nn.Module = model
    return whole


def _quiet() -> None:
    """Do nothing: no one watches this training for hangs."""
