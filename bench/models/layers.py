"""Compilation and activation checkpointing of decoder layers."""

from __future__ import annotations

from functools import partial

import torch
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from bench.contract.training import Training


def is_checkpointed(layer: int, training: Training) -> bool:
    """Return True if a layer (0 is the first) recomputes its activations in the backward pass."""
    match training.activation_checkpointing:
        case "none":
            return False
        case "full":
            return True
        case "selective":
            return layer % training.checkpointed_layers == 0


def prepare_layers(model: PreTrainedModel, training: Training) -> None:
    """Wrap each layer's `forward` for compilation and checkpointing; call before sharding.

    FSDP2's hooks then stay outside: a recomputed layer finds its parameters gathered, and the compiler sees no
    collectives. The layers of a model share one compiled function.
    """
    for place, layer in enumerate(model.model.layers):
        if training.compile:
            layer.forward = torch.compile(layer.forward)
        if is_checkpointed(place, training):
            # These models have no dropout, so the random state need not be saved.
            layer.forward = partial(checkpoint, layer.forward, use_reentrant=False, preserve_rng_state=False)
