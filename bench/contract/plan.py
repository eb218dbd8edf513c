"""The plan of a sweep: its cells in the order of the axes, and its runs in the order of execution."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveFloat

from bench.contract.base import AxisValue, Document, PositiveInt, Regime
from bench.contract.layout import Layout, StrategyName
from bench.contract.training import SETTINGS


class Cell(Document):
    """One combination of the matrix: its layout, and the runs that measure it."""

    labels: dict[str, AxisValue] = Field(description="every axis with its value's name")
    status: Literal["run", "same", "impossible"]
    layout: Layout | None = Field(None, description="None if the combination is impossible")
    canonical: StrategyName | None = Field(None, description="the simplest strategy with this layout")
    same_as: dict[str, AxisValue] = Field(
        default_factory=dict,
        description="labels of the cell that is run instead, if they differ from this one's",
    )
    reason: str = Field("", description="why it is impossible, or equivalent to another cell")
    runs: list[str] = Field(default_factory=list, description="run ids, one per repeat; for `same`, the other cell's")
    breakdown_runs: list[str] = Field(
        default_factory=list, description="ids of its breakdown runs, which no table of figures includes; likewise"
    )

    @property
    def all_runs(self) -> list[str]:
        """Its runs, whatever they are for."""
        return [*self.runs, *self.breakdown_runs]


class Plan(Document):
    """The plan of a sweep: every cell in the order of the axes, and the runs in the order of execution."""

    version: Literal[1] = 1
    sweep: str
    axes: dict[str, list[AxisValue]] = Field(description="labels of every axis, in the order of the matrix file")
    compare: list[str] = Field(
        default=["strategy"], description="axes whose values are the rows of a table; those of other axes split tables"
    )
    best_of: list[str] = Field(
        default_factory=list, description="axes of whose values a further table has the fastest for every cell"
    )
    reference: dict[str, AxisValue] = Field(
        description="labels (of the compared axes and nodes) of the reference of ratios; other axes as in the table"
    )
    regime: Regime
    repeats: PositiveInt
    target_loss: PositiveFloat | None = Field(
        None, description="loss in nats/token that runs should reach; None: the reference's final one"
    )
    cells: list[Cell]
    order: list[str] = Field(
        description="run ids, shuffled within each repeat, repeat after repeat; breakdown runs after all others"
    )

    @property
    def reference_row(self) -> dict[str, AxisValue]:
        """Labels of the compared axes of the reference."""
        return {axis: self.reference[axis] for axis in self.compare}

    def settings(self, labels: dict[str, AxisValue]) -> dict[str, AxisValue]:
        """Return the settings among these labels that distinguish a cell, for display: those that vary in the sweep; if
        more than three vary, only those that differ from their axis's first value.
        """
        varying = [
            axis for axis, values in self.axes.items() if len(values) > 1 and axis in SETTINGS and axis in labels
        ]
        if len(varying) > 3:
            varying = [axis for axis in varying if labels[axis] != self.axes[axis][0]]
        return {axis: labels[axis] for axis in varying}
