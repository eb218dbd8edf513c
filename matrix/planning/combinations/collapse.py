"""Collapse equivalent combinations to one run, and explain why the others are the same.

Two combinations are equivalent if the identities of their runs are equal, whatever their names.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from bench.contract.layout import StrategyName, canonical_name
from bench.contract.run import Run
from matrix.planning.combinations import irrelevant
from matrix.planning.combinations.expand import Point


@dataclass(frozen=True)
class Resolved:
    """A combination that can be run."""

    point: Point
    kind: StrategyName
    run: Run
    identity: str

    @property
    def canonical(self) -> StrategyName:
        """The simplest strategy with this layout."""
        return canonical_name(self.run.layout)


def collapse(cells: list[Resolved]) -> dict[str, Resolved]:
    """Return the executed cell by identity: the one named after the simplest strategy, else the first."""
    groups: dict[str, list[Resolved]] = defaultdict(list)
    for cell in cells:
        groups[cell.identity].append(cell)
    return {
        identity: next((cell for cell in group if cell.kind == cell.canonical), group[0])
        for identity, group in groups.items()
    }


def why_same(cell: Resolved, executed: Resolved) -> str:
    """Return why a cell is the same run as the executed one, as text for users."""
    differs = [axis for axis, value in cell.point.items() if executed.point[axis] != value]
    return "; ".join(_difference(axis, cell, executed) for axis in differs)


def _difference(axis: str, cell: Resolved, executed: Resolved) -> str:
    if axis == "strategy":
        return _strategy_difference(cell, executed)
    if axis == "model":
        shared = "shape" if cell.run.weights is None else "shape and weights"
        return f"{cell.point[axis]} has the {shared} of {executed.point[axis]}"
    return irrelevant.reason(axis)


def _strategy_difference(cell: Resolved, executed: Resolved) -> str:
    name, other = cell.point["strategy"], executed.point["strategy"]
    if cell.kind == executed.kind:
        return f"{name} has the layout of {other} here ({cell.run.layout})"
    sentence = " ".join([str(name), *_simplification(cell), "is", cell.canonical, "here"])
    return sentence if executed.kind == cell.canonical else f"{sentence}, and so is {other}"


def _simplification(cell: Resolved) -> list[str]:
    """Return what reduces a strategy to a simpler one; empty if its name alone differs."""
    layout = cell.run.layout
    if layout.world == 1:
        return ["on one rank"]
    facts = []
    if cell.kind.startswith("federated") and layout.federation == 1:
        facts.append("one group")
    if layout.replicate == 1 and cell.kind != "federated":  # which never has more
        facts.append("one replica")
    elif layout.shard == 1 and layout.replicate > 1:
        facts.append("shard groups of one rank")
    return ["with", " and ".join(facts)] if facts else []
