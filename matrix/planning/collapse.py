"""Points that are executed alike are one run: which of them is run, and why the others are the same.

Two points are one run where the identities of their runs are equal, whatever their names are.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from bench.contract.layout import StrategyName, canonical_name
from bench.contract.run import Run
from matrix.planning import irrelevant as unused
from matrix.planning.expand import Point


@dataclass(frozen=True)
class Resolved:
    """A point that can be run."""

    point: Point
    kind: StrategyName
    run: Run
    identity: str

    @property
    def canonical(self) -> StrategyName:
        """The simplest strategy that it is here."""
        return canonical_name(self.run.layout)


def collapse(cells: list[Resolved]) -> dict[str, Resolved]:
    """The cell that is executed, by identity: the one that goes by its simplest name, else the first."""
    groups: dict[str, list[Resolved]] = defaultdict(list)
    for cell in cells:
        groups[cell.identity].append(cell)
    return {
        identity: next((cell for cell in group if cell.kind == cell.canonical), group[0])
        for identity, group in groups.items()
    }


def why_same(cell: Resolved, executed: Resolved) -> str:
    """Why a cell is the same run as the executed one, for a person to read."""
    differs = [axis for axis, value in cell.point.items() if executed.point[axis] != value]
    return "; ".join(_difference(axis, cell, executed) for axis in differs)


def _difference(axis: str, cell: Resolved, executed: Resolved) -> str:
    if axis == "strategy":
        return _strategy_difference(cell, executed)
    if axis == "model":
        shared = "shape" if cell.run.weights is None else "shape and weights"
        return f"{cell.point[axis]} has the {shared} of {executed.point[axis]}"
    return unused.reason(axis)


def _strategy_difference(cell: Resolved, executed: Resolved) -> str:
    name, other = cell.point["strategy"], executed.point["strategy"]
    if cell.kind == executed.kind:
        return f"{name} has the layout of {other} here ({cell.run.layout})"
    sentence = f"{name} {_simplification(cell)} is {cell.canonical} here"
    return sentence if executed.kind == cell.canonical else f"{sentence}, and so is {other}"


def _simplification(cell: Resolved) -> str:
    """What makes a strategy a simpler one."""
    layout = cell.run.layout
    if layout.world == 1:
        return "on one rank"
    facts = []
    if cell.kind.startswith("federated") and layout.federation == 1:
        facts.append("one group")
    if cell.kind.endswith("hsdp") and layout.replicate == 1:
        facts.append("one replica")
    elif cell.kind.endswith("hsdp") and layout.shard == 1:
        facts.append("shard groups of one rank")
    return f"with {' and '.join(facts)}"
