"""Saving of model and checkpoint: after the window, atomically, and timed."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import nn
from torch.distributed.fsdp import FSDPModule

from bench.contract.results.measured import Saved
from bench.contract.run import Run
from bench.contract.storage.files import AttemptFolder
from bench.parallel.mesh import wait_for_all
from bench.saving.checkpoint import write_checkpoint
from bench.saving.export import write_model


def save(
    run: Run,
    folder: AttemptFolder,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    rank: int,
    first_step: int,
    alive: Callable[[], None],
) -> Saved:
    """Write the model and the checkpoint, as the run asks; the returned figures are valid on rank 0.

    `alive` is called between tensors. Collective over the world.

    Raises:
        OSError, RuntimeError: writing failed; the folder does not exist then.

    """
    _reshard(model)
    saved: dict[str, float | int] = {}
    if run.training.save_model:
        write = partial(write_model, run, model=model, rank=rank, alive=alive)
        saved["model_s"], saved["model_bytes"] = _appear(folder.model, rank, write, alive)
    if run.training.save_checkpoint:
        write = partial(
            write_checkpoint,
            run,
            model=model,
            optimizer=optimizer,
            rank=rank,
            first_step=first_step,
            alive=alive,
        )
        saved["checkpoint_s"], saved["checkpoint_bytes"] = _appear(folder.checkpoint, rank, write, alive)
    return Saved.model_validate(saved)


def _reshard(model: nn.Module) -> None:
    """Free parameters that the last forward pass left gathered: they have the computation's type."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def _appear(folder: Path, rank: int, write: Callable[[Path], None], alive: Callable[[], None]) -> tuple[float, int]:
    """Let all ranks write into a temporary folder, which rank 0 renames at the end; return (seconds, bytes).

    On rank 0 the seconds are those of the slowest rank, between two barriers; other ranks return 0 bytes.
    """
    beside = folder.with_name(f".{folder.name}.part")
    wait_for_all(alive)
    begin = time.perf_counter()
    if rank == 0:
        if beside.exists():  # left by a killed process
            shutil.rmtree(beside)
        beside.mkdir()
    wait_for_all(alive)
    write(beside)
    wait_for_all(alive)
    if rank == 0:
        _put_in_place(beside, folder)
    seconds = time.perf_counter() - begin
    return seconds, sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) if rank == 0 else 0


def _put_in_place(beside: Path, folder: Path) -> None:
    """Rename the folder, replacing that of an earlier repetition by hand."""
    old = folder.with_name(f".{folder.name}.old")
    if folder.exists():
        folder.rename(old)
    beside.rename(folder)
    if old.exists():
        shutil.rmtree(old)
