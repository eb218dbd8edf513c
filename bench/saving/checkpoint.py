"""Sharded checkpoints: every rank writes and reads its own parts of parameters and optimizer state.

A checkpoint holds `model.<name>` once, since after the last averaging all federated groups have one model, and
`optimizer.<group>.<name>.<slot>` for every group, since each has an optimizer state of its own. Where one group wrote
it, a run on another number of ranks reads the parts that it needs.
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

from bench.contract.files import write_document
from bench.contract.resume import CHECKPOINT_FILE, CheckpointError, check_goes_on, reached, read_checkpoint
from bench.contract.run import Run
from bench.models.state import unwrapped

Alive = Callable[[], None]


class _SavePlanner(DefaultSavePlanner):
    """The default plan, in which one of the ranks that hold a part writes it; tells of each part written."""

    def __init__(self, alive: Alive) -> None:
        super().__init__()
        self._alive = alive

    def resolve_data(self, write_item: WriteItem) -> torch.Tensor | BytesIO:
        self._alive()
        return super().resolve_data(write_item)


class _LoadPlanner(DefaultLoadPlanner):
    """The default plan; tells of each part read."""

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
    """Write the state after the run's last step into an empty folder. All ranks must call together.

    `first_step` counts the steps that the same training took before this run.

    Raises:
        RuntimeError: a rank could not write its part.

    """
    tensors = dict(_tensors(run, model, optimizer, rank))
    try:
        save(tensors, checkpoint_id=folder, planner=_SavePlanner(alive))
    except CheckpointException as failure:  # no Exception, and its text is all ranks' stacks
        raise RuntimeError(f"the checkpoint could not be written: {_first(failure)}") from failure
    if rank == 0:
        write_document(folder / CHECKPOINT_FILE, reached(run, first_step))  # last: what has it is whole


def go_on(run: Run, model: nn.Module, optimizer: torch.optim.Optimizer, rank: int, alive: Alive) -> int:
    """Take parameters and optimizer state from the checkpoint that the run starts from, if it names one.

    Returns the optimizer steps that the training has behind it: 0 without a checkpoint. All ranks must call together.

    Raises:
        CheckpointError: there is no whole checkpoint, or it is one of another training.

    """
    if run.training.start_from is None:
        return 0
    folder = Path(run.training.start_from)
    checkpoint = read_checkpoint(folder)
    check_goes_on(run, checkpoint)
    _make_state(optimizer)
    tensors = dict(_tensors(run, model, optimizer, rank))
    try:
        load(tensors, checkpoint_id=folder, planner=_LoadPlanner(alive))
    except CheckpointException as failure:
        raise CheckpointError(f"{folder} cannot be read: {_first(failure)}") from failure
    return checkpoint.step


def _tensors(
    run: Run, model: nn.Module, optimizer: torch.optim.Optimizer, rank: int
) -> Iterator[tuple[str, torch.Tensor]]:
    """What a checkpoint holds of this rank, in place: a DTensor knows which part of the whole it is."""
    group = run.layout.coordinates(rank)[0]
    for name, parameter in unwrapped(model).named_parameters():
        yield f"model.{name}", parameter.detach()
        for slot, value in optimizer.state.get(parameter, {}).items():
            yield f"optimizer.{group}.{name}.{slot}", value


def _make_state(optimizer: torch.optim.Optimizer) -> None:
    """Let the optimizer make its state, in its own types, by a step: what that changes is then read."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def _first(failure: CheckpointException) -> str:
    """The first rank's error in one line."""
    rank, (error, _) = min(failure.failures.items())
    return f"rank {rank}: {type(error).__name__}: {error}".splitlines()[0]
