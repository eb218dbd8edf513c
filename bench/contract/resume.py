"""What the training behind a checkpoint had reached, and whether a run can go on from there. Planning asks this too."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveInt, ValidationError

from bench.contract.base import Document, DType
from bench.contract.documents import NewerVersionError, read_document
from bench.contract.files import SOURCE_FILE
from bench.contract.layout import Layout
from bench.contract.run import Run
from bench.contract.shapes import Shape

CHECKPOINT_FILE = "checkpoint.json"


class CheckpointError(ValueError):
    """A run cannot go on from a checkpoint; the message is the reason, for a person to read."""


class Reached(Document):
    """What is known of a checkpoint, written beside its tensors."""

    version: Literal[1] = 1
    run: str = Field(description="id of the run that wrote it")
    step: PositiveInt = Field(description="optimizer steps of the whole training so far")
    schedule_steps: PositiveInt = Field(description="steps of the learning rate's schedule")
    step_samples: PositiveInt = Field(description="places that a step moves on in the order of samples")
    seed: NonNegativeInt
    data: str | None = Field(description="digest of what is known of the data set; null where nothing is")
    sequence_length: PositiveInt
    shape: Shape
    layout: Layout
    held: DType = Field(description="type of parameters and optimizer state")
    optimizer: Literal["adamw", "sgd"]


def reached(run: Run, first_step: int) -> Reached:
    """Where a run stands after its last step, when `first_step` steps of the same training came before its first."""
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
    """The facts of the checkpoint in a folder.

    Raises:
        CheckpointError: there is none, it is not whole, or a newer xffl-bench wrote it.

    """
    file = folder / CHECKPOINT_FILE
    if not folder.is_dir():
        raise CheckpointError(f"{folder} is no folder: name one that training.save_checkpoint has made")
    if not file.is_file() or not (folder / ".metadata").is_file():
        raise CheckpointError(
            f"{folder} holds no whole checkpoint: name a folder that training.save_checkpoint has made"
        )
    try:
        return read_document(file, Reached)
    except NewerVersionError as error:
        raise CheckpointError(str(error)) from error
    except (OSError, ValidationError) as error:
        raise CheckpointError(f"{file} cannot be read ({type(error).__name__}): name another checkpoint") from error


def check_goes_on(run: Run, checkpoint: Reached) -> None:
    """Raises CheckpointError: the run would not go on with the checkpoint's training."""
    reason = next(_obstacles(run, checkpoint), None)
    if reason:
        raise CheckpointError(f"cannot go on from {run.training.start_from}: {reason}")


def _obstacles(run: Run, there: Reached) -> Iterator[str]:
    here = reached(run, there.step)
    if here.shape != there.shape:
        ours, theirs = here.shape.model_dump(), there.shape.model_dump()
        names = [name for name in ours if ours[name] != theirs[name]]
        different = ", ".join(f"{name} {theirs[name]} and not {ours[name]}" for name in names)
        yield f"its model has another shape ({different})"
    if here.held != there.held:
        yield f"it holds {there.held}, and training.precision {run.training.precision} holds {here.held}"
    if here.optimizer != there.optimizer:
        yield f"it holds the state of {there.optimizer}, and training.optimizer is {here.optimizer}"
    if here.layout.federation != there.layout.federation:
        yield (
            f"it holds the optimizer states of {there.layout.federation} federated group(s), the run has "
            f"{here.layout.federation}: each group goes on from its own"
        )
    if (here.data, here.sequence_length) != (there.data, there.sequence_length):
        yield "it was trained on another data set or sequence length, so the order of samples would not go on"
    if run.weights is not None:
        yield "the model starts from weights of its own: leave out `weights` or start_from"
    if here.step_samples != there.step_samples:
        yield (
            f"its steps read {there.step_samples} samples and the run's {here.step_samples}, so the order of samples "
            "would not go on: choose batch_size, or training.accumulation, for the same global batch"
        )
    if run.training.schedule_steps is None:
        yield (
            f"{there.step} steps of its training are done, so training.schedule_steps must say how many the learning "
            f"rate's schedule has in all (it had {there.schedule_steps})"
        )
