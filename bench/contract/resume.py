"""The description of a checkpoint, and whether a run can resume from it. Planning uses this too."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from bench.contract.base import Document, DType, NonNegativeInt, PositiveInt
from bench.contract.layout import Layout
from bench.contract.run import Run
from bench.contract.shapes import Shape
from bench.contract.storage.documents import NewerVersionError, read_document
from bench.contract.storage.files import SOURCE_FILE

CHECKPOINT_FILE = "checkpoint.json"


class CheckpointError(ValueError):
    """A run cannot resume from a checkpoint; the message is the reason."""


class Reached(Document):
    """Description of a checkpoint, stored beside its tensors."""

    version: Literal[1] = 1
    run: str = Field(description="id of the run that wrote it")
    step: PositiveInt = Field(description="optimizer steps of the whole training so far")
    schedule_steps: PositiveInt = Field(description="steps of the learning rate's schedule")
    step_samples: PositiveInt = Field(description="samples that a step consumes, over all readers")
    seed: NonNegativeInt
    data: str | None = Field(description="digest of the data set's source.json; null if it has none")
    sequence_length: PositiveInt
    shape: Shape
    layout: Layout
    held: DType = Field(description="type of parameters and optimizer state")
    optimizer: Literal["adamw", "sgd"]


def reached(run: Run, first_step: int) -> Reached:
    """Describe a run's training after its last step, with `first_step` steps of the same training before its first."""
    training = run.training
    return Reached(
        run=run.id,
        step=first_step + training.steps,
        schedule_steps=training.schedule_steps or training.steps,
        step_samples=run.readers * run.step_sequences,
        seed=run.seed,
        data=_digest(Path(run.data) / SOURCE_FILE),
        sequence_length=training.sequence_length,
        shape=run.shape,
        layout=run.layout,
        held=training.held,
        optimizer=training.optimizer,
    )


def _digest(file: Path) -> str | None:
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.exists() else None


def read_checkpoint(folder: Path) -> Reached:
    """Return the description of the checkpoint in a folder.

    Raises:
        CheckpointError: there is none, it is incomplete, or a newer xffl-bench wrote it.

    """
    file = folder / CHECKPOINT_FILE
    if not folder.is_dir():
        raise CheckpointError(f"{folder} is not a folder: name one written by training.save_checkpoint")
    if not file.is_file() or not (folder / ".metadata").is_file():
        raise CheckpointError(
            f"{folder} contains no complete checkpoint: name a folder written by training.save_checkpoint"
        )
    try:
        return read_document(file, Reached)
    except NewerVersionError as error:
        raise CheckpointError(str(error)) from error
    except (OSError, ValidationError) as error:
        raise CheckpointError(f"{file} cannot be read ({type(error).__name__}): name another checkpoint") from error


def check_goes_on(run: Run, checkpoint: Reached) -> None:
    """Raise CheckpointError if the run would not continue the checkpoint's training."""
    reason = next(_obstacles(run, checkpoint), None)
    if reason:
        raise CheckpointError(f"cannot resume from {run.training.start_from}: {reason}")


def _obstacles(run: Run, there: Reached) -> Iterator[str]:
    here = reached(run, there.step)
    if here.shape != there.shape:
        ours, theirs = here.shape.model_dump(), there.shape.model_dump()
        names = [name for name in ours if ours[name] != theirs[name]]
        different = ", ".join(f"{name} {theirs[name]}, not {ours[name]}" for name in names)
        yield f"its model has another shape ({different})"
    if here.held != there.held:
        yield f"it stores {there.held}, but training.precision {run.training.precision} needs {here.held}"
    if here.optimizer != there.optimizer:
        yield f"it stores the state of {there.optimizer}, but training.optimizer is {here.optimizer}"
    if here.layout.federation != there.layout.federation:
        yield (
            f"it stores the optimizer states of {there.layout.federation} federated group(s), the run has "
            f"{here.layout.federation}: each group needs its own"
        )
    if (here.data, here.sequence_length) != (there.data, there.sequence_length):
        yield "it was trained on another data set or sequence length, so the order of samples would not continue"
    if run.weights is not None:
        yield "the model has `weights` to start from: remove `weights` or start_from"
    if here.step_samples != there.step_samples:
        yield (
            f"its steps read {there.step_samples} samples and the run's {here.step_samples}, so the order of samples "
            "would not continue: choose batch_size, or training.accumulation, for the same global batch"
        )
    if run.training.schedule_steps is None:
        yield (
            f"its training has done {there.step} steps, so training.schedule_steps must give the total steps of the "
            f"learning rate's schedule (it was {there.schedule_steps})"
        )
