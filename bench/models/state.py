"""The part of a model and its optimizer that is on this rank."""

from __future__ import annotations

import torch
from torch import nn
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the library's model, without DDP's prefix in the parameter names."""
    return model.module if isinstance(model, DistributedDataParallel) else model


def local_parameters(model: nn.Module) -> list[torch.Tensor]:
    """Return the rank's parts of the parameters, in the model's order."""
    return [_local(parameter.detach()) for parameter in model.parameters()]


def _local(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def state_bytes(model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Return the bytes of parameters, gradients and optimizer state on this rank.

    Gradients count with the parameters' size, even if they are currently freed.
    """
    parameters = sum(tensor.numel() * tensor.element_size() for tensor in local_parameters(model))
    state = sum(
        _local(value).numel() * value.element_size()
        for slots in optimizer.state.values()
        for value in slots.values()
        if isinstance(value, torch.Tensor) and value.dim() > 0
    )
    return 2 * parameters + state
