"""What of a model and its optimizer lies on this rank."""

from __future__ import annotations

import torch
from torch import nn
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel


def unwrapped(model: nn.Module) -> nn.Module:
    """The library's own model, whose parameters have the names of its configuration."""
    return model.module if isinstance(model, DistributedDataParallel) else model


def local_parameters(model: nn.Module) -> list[torch.Tensor]:
    """The rank's own parts of the parameters, in the model's order."""
    return [_local(parameter.detach()) for parameter in model.parameters()]


def _local(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def state_bytes(model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Bytes of parameters, gradients and optimizer state that this rank holds between two steps.

    Gradients count at the parameters' size, whether or not they are freed at the moment of counting.
    """
    parameters = sum(tensor.numel() * tensor.element_size() for tensor in local_parameters(model))
    state = sum(
        _local(value).numel() * value.element_size()
        for slots in optimizer.state.values()
        for value in slots.values()
        if isinstance(value, torch.Tensor) and value.dim() > 0
    )
    return 2 * parameters + state
