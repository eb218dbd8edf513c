"""FSDP2 settings: modules sharded together, sharded dimensions, types and prefetching."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import Shard
from transformers import PreTrainedModel

from bench.contract.training import Training
from bench.host.dtypes import DTYPES


def even_shard(parameter: nn.Parameter, degree: int) -> Shard | None:
    """Return the first dimension that the shard degree divides; None: FSDP2's default, the first one with padding.

    Stacked experts (experts, ...) would otherwise be spread over at most as many ranks as there are experts.
    """
    return next((Shard(place) for place, size in enumerate(parameter.shape) if size % degree == 0), None)


def policy(training: Training) -> MixedPrecisionPolicy:
    """Return the types of the computation and of the gradient reduction."""
    return MixedPrecisionPolicy(
        param_dtype=torch.bfloat16 if training.precision == "bf16-mixed" else None,
        reduce_dtype=DTYPES[training.reduction],
    )


def shard(model: PreTrainedModel, training: Training, mesh: DeviceMesh, degree: int) -> None:
    """Shard every decoder layer, and the rest of the model, over the mesh's last dimension of `degree` ranks.

    The rest (embedding, last norm, head) is not resharded after the forward pass: the backward pass begins with it.
    """
    layers = list(model.model.layers)
    placement, types = partial(even_shard, degree=degree), policy(training)
    for layer in layers:
        fully_shard(
            layer,
            mesh=mesh,
            shard_placement_fn=placement,
            mp_policy=types,
            reshard_after_forward=training.reshard_after_forward,
        )
    fully_shard(model, mesh=mesh, shard_placement_fn=placement, mp_policy=types)
    if training.prefetch:
        _prefetch(layers, training.prefetch)


def _prefetch(layers: list[FSDPModule], ahead: int) -> None:
    """Gather the parameters of the next layers while a layer computes, in the forward and the backward pass."""
    for place, layer in enumerate(layers):
        layer.set_modules_to_forward_prefetch(layers[place + 1 : place + 1 + ahead])
        layer.set_modules_to_backward_prefetch(layers[max(0, place - ahead) : place][::-1])
