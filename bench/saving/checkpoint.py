"""Sharded checkpoints: every rank writes and reads its own parts of parameters and optimizer state.

A checkpoint contains `model.<name>` once, since all federated groups have the same model after the last averaging, and
`optimizer.<group>.<name>.<slot>` for every group, since each has its own optimizer state. With one group, a run on
another number of ranks can read the checkpoint: each rank reads the parts that it needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import torch
from torch import nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner, DefaultSavePlanner
from torch.distributed.checkpoint.planner import ReadItem, WriteItem
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from bench.contract.resume import CHECKPOINT_FILE, CheckpointError, check_goes_on, reached, read_checkpoint
from bench.contract.run import Run
from bench.contract.storage.files import write_document
from bench.models.state import unwrapped
from bench.saving.metadata import TensorReader

Alive = Callable[[], None]


class _SavePlanner(DefaultSavePlanner):
    """The default plan, in which one of the ranks with a part writes it; calls `alive` for each part."""

    def __init__(self, alive: Alive) -> None:
        super().__init__()
        self._alive = alive

    def resolve_data(self, write_item: WriteItem) -> torch.Tensor | BytesIO:
        self._alive()
        return super().resolve_data(write_item)


class _LoadPlanner(DefaultLoadPlanner):
    """The default plan; calls `alive` for each part."""

    def __init__(self, alive: Alive) -> None:
        super().__init__()
        self._alive = alive

    def commit_tensor(self, read_item: ReadItem, tensor: torch.Tensor) -> None:
        self._alive()
        super().commit_tensor(read_item, tensor)


def write_checkpoint(
    run: Run,
    folder: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    rank: int,
    first_step: int,
    alive: Alive,
) -> None:
    """Write the state after the run's last step into an empty folder. Collective over the world.

    `first_step`: number of steps of the same training before this run.

    Raises:
        RuntimeError: a rank failed to write its part.

    """
    tensors = dict(_tensors(run, model, optimizer, rank))
    try:
        save(tensors, checkpoint_id=folder, planner=_SavePlanner(alive))
    except CheckpointException as failure:  # a BaseException whose text has all ranks' stacks
        raise RuntimeError(f"cannot write the checkpoint: {_first(failure)}") from failure
    if rank == 0:
        write_document(folder / CHECKPOINT_FILE, reached(run, first_step))  # last: marks the checkpoint as complete


def go_on(run: Run, model: nn.Module, optimizer: torch.optim.Optimizer, rank: int, alive: Alive) -> int:
    """Load parameters and optimizer state from the run's `start_from`, if set; return the training's steps so far.

    Returns 0 without a checkpoint. Collective over the world.

    Raises:
        CheckpointError: there is no complete checkpoint, or it belongs to another training.

    """
    if run.training.start_from is None:
        return 0
    folder = Path(run.training.start_from)
    checkpoint = read_checkpoint(folder)
    check_goes_on(run, checkpoint)
    reader = TensorReader(folder)
    _make_state(optimizer)
    tensors = dict(_tensors(run, model, optimizer, rank))
    try:
        load(tensors, storage_reader=reader, planner=_LoadPlanner(alive))
    except CheckpointException as failure:
        raise CheckpointError(f"{folder} cannot be read: {_first(failure)}") from failure
    return checkpoint.step


def _tensors(
    run: Run, model: nn.Module, optimizer: torch.optim.Optimizer, rank: int
) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield this rank's tensors by their names in a checkpoint, without copying: a DTensor knows its part."""
    group = run.layout.coordinates(rank)[0]
    for name, parameter in unwrapped(model).named_parameters():
        yield f"model.{name}", parameter.detach()
        for slot, value in optimizer.state.get(parameter, {}).items():
            yield f"optimizer.{group}.{name}.{slot}", value


def _make_state(optimizer: torch.optim.Optimizer) -> None:
    """Create the optimizer's state, in its own types, by a step with zero gradients; loading overwrites the result."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def _first(failure: CheckpointException) -> str:
    """Return the error of the first failed rank in one line."""
    rank, (error, _) = min(failure.failures.items())
    return f"rank {rank}: {type(error).__name__}: {error}".splitlines()[0]
