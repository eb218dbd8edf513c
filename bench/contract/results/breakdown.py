"""The parts of a training step, and how long each takes in a breakdown run."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field, NonNegativeFloat, PositiveFloat

from bench.contract.base import Document


class Part(StrEnum):
    """A part of a training step."""

    DATA = "data"
    FORWARD = "forward"
    BACKWARD = "backward"
    OPTIMIZER = "optimizer"
    AVERAGING = "averaging"
    REST = "rest"

    @property
    def meaning(self) -> str:
        """What the part contains."""
        return _MEANINGS[self]


_MEANINGS: dict[Part, str] = {
    Part.DATA: "taking the micro-batches from the data loader and moving them to the device, as far as a step waits "
    "for it",
    Part.FORWARD: "forward passes and losses, with the gathering of parameters that is not hidden behind them",
    Part.BACKWARD: "backward passes, with recomputed activations and the communication of gradients that is not hidden",
    Part.OPTIMIZER: "clipping, where the run clips, and the optimizer's step",
    Part.AVERAGING: "federated averaging, waiting for the other groups included: the mean over all steps, most of "
    "which have none",
    Part.REST: "what else a step does: setting the learning rate, counting tokens, reporting progress",
}


class PartTime(Document):
    """Seconds per step that one part takes."""

    mean: NonNegativeFloat = Field(description="mean over the window's steps and over ranks")
    slowest: NonNegativeFloat = Field(description="mean over the window's steps of the longest time of a rank")


class Breakdown(Document):
    """Time of a step, divided into its parts.

    The means of the parts add up to `step`, except for the time by which ranks start or end the window at different
    moments. The slowest times do not: while one rank computes for longer, another waits for it in a later part.
    """

    step: PositiveFloat = Field(description="seconds of the window, divided by its steps")
    parts: dict[Part, PartTime]
