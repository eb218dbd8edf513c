"""Columns for the loss that a run should reach: see `reports.cells.targets`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from reports.data.columns.base import Column, flag, number, text, whole
from reports.data.curves import Arrival

LossKind = Literal["training", "validation"]


@dataclass(frozen=True)
class Target:
    """A loss to reach, and when a run on so many nodes did; `arrival` is None if it did not."""

    loss: float
    kind: LossKind
    arrival: Arrival | None
    nodes: int

    @property
    def seconds(self) -> float | None:
        """Time until it was reached."""
        return self.arrival.seconds if self.arrival else None


TARGET: tuple[Column[[Target]], ...] = (
    number(
        "target_loss",
        "the loss to reach: `target_loss` of the matrix file, else the highest final loss of the repeats of the "
        "reference's row on the same nodes, which a run reaches that differs by less than 0.00005 (nats/token); none "
        "where all rows have that one at once",
        lambda target: target.loss,
    ),
    text(
        "target_kind",
        "the losses that it is compared with: `validation` if all runs on the same nodes of the table were validated "
        "during the training, else `training` (means over blocks)",
        lambda target: target.kind,
    ),
    flag("target_reached", "whether the run reached it", lambda target: target.arrival is not None),
    number(
        "target_s",
        "time from the start of the first step until it was reached, at the end of a block or at a validation, whose "
        "own time does not count (s)",
        lambda target: target.seconds,
    ),
    whole(
        "target_tokens",
        "tokens trained until then",
        lambda target: target.arrival.tokens if target.arrival else None,
    ),
    number(
        "target_node_hours",
        "`target_s x nodes / 3600`",
        lambda target: None if target.seconds is None else target.nodes * target.seconds / 3600,
    ),
)
