"""Types of the fixtures that read and plan the text of a matrix file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from matrix.config.sweep import MatrixFile
from matrix.planning.plan import PlannedSweep

LoadText = Callable[[str], MatrixFile]


class PlanText(Protocol):
    """Plans the text of a matrix file on a system of so many nodes of so many ranks."""

    def __call__(self, text: str, nodes: int = 2, ranks_per_node: int = 4) -> PlannedSweep: ...
