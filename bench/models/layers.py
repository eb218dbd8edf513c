"""Compilation and activation checkpointing of decoder layers."""

from __future__ import annotations

from functools import partial

import torch
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from bench.contract.training import Training


def prepare_layers(model: PreTrainedModel, training: Training) -> None:
    """Wrap each layer's `forward` for compilation and checkpointing; call before sharding.

    FSDP2's hooks then stay outside: a recomputed layer finds its parameters gathered, and the compiler sees no
    collectives. The layers of a model share one compiled function.
    """
    for place, layer in enumerate(model.model.layers):
        if training.compile:
            layer.forward = torch.compile(layer.forward)
        if training.is_checkpointed(place):
            # These models have no dropout, so the random state need not be saved.
            layer.forward = partial(checkpoint, layer.forward, use_reentrant=False, preserve_rng_state=False)
