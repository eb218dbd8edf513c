"""A sweep, expanded: its cells in the order of the axes, and its runs in the order of execution."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt

from bench.contract.base import AxisValue, Document, Regime
from bench.contract.layout import Layout, StrategyName
from bench.contract.training import SETTINGS


class Cell(Document):
    """One point of the matrix: what it resolves to, and which runs stand for it."""

    labels: dict[str, AxisValue] = Field(description="every axis with its value's name")
    status: Literal["run", "same", "impossible"]
    layout: Layout | None = Field(None, description="None where the combination is impossible")
    canonical: StrategyName | None = Field(None, description="the simplest strategy that the layout is")
    same_as: dict[str, AxisValue] = Field(
        default_factory=dict, description="labels of the cell that is run instead, where they differ from this one's"
    )
    reason: str = Field("", description="why it is impossible, or the same run as another")
    runs: list[str] = Field(default_factory=list, description="run ids, one per repeat; a `same` cell has the other's")


class Plan(Document):
    """A sweep, expanded: every cell in the order of the axes, and the runs in the order of execution."""

    version: Literal[1] = 1
    sweep: str
    axes: dict[str, list[AxisValue]] = Field(description="labels of every axis, in the order of the matrix file")
    reference: dict[str, AxisValue] = Field(
        description="labels (strategy, nodes) that speed-up and efficiency are held against; other axes: the row's own"
    )
    regime: Regime
    repeats: PositiveInt
    cells: list[Cell]
    order: list[str] = Field(description="run ids, randomised inside each repeat, repeats one after the other")

    def settings(self, labels: dict[str, AxisValue]) -> dict[str, AxisValue]:
        """The settings that tell a cell from others, for people to read: all that vary, but of more than three only
        those that have not their axis's first value.
        """
        varying = [axis for axis, values in self.axes.items() if len(values) > 1 and axis in SETTINGS]
        if len(varying) > 3:
            varying = [axis for axis in varying if labels[axis] != self.axes[axis][0]]
        return {axis: labels[axis] for axis in varying}
