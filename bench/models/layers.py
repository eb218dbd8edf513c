"""Decoder layers as the training calls them: compiled, and their activations recomputed, where it is asked for."""

from __future__ import annotations

from functools import partial

import torch
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from bench.contract.training import Training


def is_checkpointed(layer: int, training: Training) -> bool:
    """Whether a layer (0 is the first) recomputes its activations in the backward pass."""
    match training.activation_checkpointing:
        case "none":
            return False
        case "full":
            return True
        case "selective":
            return layer % training.checkpointed_layers == 0


def prepare_layers(model: PreTrainedModel, training: Training) -> None:
    """Compile and checkpoint inside each layer's `forward`; call before sharding.

    FSDP2's hooks then stay outside: a recomputed layer finds its parameters gathered, and the compiler never sees a
    collective. The layers of a model share one compiled function.
    """
    for place, layer in enumerate(model.model.layers):
        if training.compile:
            layer.forward = torch.compile(layer.forward)
        if is_checkpointed(place, training):
            # There is no dropout in these models, so the random state need not be saved.
            layer.forward = partial(checkpoint, layer.forward, use_reentrant=False, preserve_rng_state=False)
