"""Building a run's model: created on the meta device, sharded, then given memory and weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from bench.contract.run import Run
from bench.models.initialise import NewValues, Values, materialise
from bench.models.layers import prepare_layers
from bench.models.model import on_meta
from bench.models.weights import Checkpoint
from bench.parallel.mesh import Groups
from bench.parallel.sharding import shard


def build(run: Run, groups: Groups, device: torch.device, alive: Callable[[], None]) -> nn.Module:
    """Build a run's model, sharded or replicated by its layout, with initial weights or those of `run.weights`.

    `alive` is called between parameters to report progress.

    Raises:
        RuntimeError: the library's model has another number of parameters than the shape predicts.
        ImportError: the attention implementation is not installed.
        FileNotFoundError, ValueError: the weights are missing, or belong to another model.

    """
    model = on_meta(run.shape, run.training)
    prepare_layers(model, run.training)
    if groups.shard_mesh is not None:
        shard(model, run.training, groups.shard_mesh, run.layout.shard)
    materialise(model, first_values(run, model, device), device, alive)
    counted = sum(parameter.numel() for parameter in model.parameters())
    if counted != run.shape.parameters:
        raise RuntimeError(
            f"{type(model).__name__} has {counted} parameters, but the shape predicts {run.shape.parameters}"
        )
    model.train()
    if groups.replicas is not None:
        devices = [device.index] if device.type == "cuda" else None
        # The buffers are rotary frequencies, equal on all ranks: DDP would broadcast them in every step.
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(
            model, [name for name, _ in model.named_buffers()]
        )
        return DistributedDataParallel(model, device_ids=devices, process_group=groups.replicas)
    built: nn.Module = model
    return built


def first_values(run: Run, model: nn.Module, device: torch.device) -> Values:
    """Return the source of initial parameter values: drawn on `device`, or read from `run.weights`."""
    if run.weights is None:
        return NewValues(run.seed, run.shape.initializer_range, device, run.shape.padding_token)
    return Checkpoint(Path(run.weights), {name: parameter.shape for name, parameter in model.named_parameters()})
