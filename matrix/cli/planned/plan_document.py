"""The plan of a sweep as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Literal

from pydantic import Field

from bench.contract.base import AxisValue, Document
from bench.contract.layout import Layout
from bench.contract.plan import Cell
from bench.contract.results.result import Result
from matrix.batch.cost import Cost
from matrix.cli.planned.forecast import expected_cost
from matrix.cli.render import MOST_ROWS, CombinationStatus, reason_of, status_of
from matrix.errors import InputError
from matrix.planning.prepare import PreparedSweep
from matrix.planning.ready import lacking
from matrix.store.ahead import Searching


class PlannedCombination(Document):
    """A combination of the matrix."""

    labels: dict[str, AxisValue] = Field(description="the combination: every axis with its value's name")
    status: CombinationStatus = Field(
        description="run, same (as another combination), impossible, or refused (by what is known of the xFFL library)"
    )
    reason: str = Field(description="why it is not run, empty if it is")
    same_as: dict[str, AxisValue] = Field(
        description="labels of the combination that is run in its place, if they differ"
    )
    federation: int | None = Field(description="federated groups, null if it is impossible")
    replicate: int | None = Field(description="copies of the model in a federated group")
    shard: int | None = Field(description="ranks that share one copy of the model")
    runs: list[str] = Field(description="ids of its selected runs, those of `same` being of the other combination")


class PlannedCost(Document):
    """What the jobs of a sweep may cost at most."""

    runs: int = Field(description="runs in jobs")
    jobs: int = Field(description="batch jobs")
    node_hours: float = Field(description="most node-hours")


class PlanDocument(Document):
    """The plan of a sweep, as `plan --json` prints it."""

    version: Literal[1] = Field(1, description="version of this document")
    sweep: str = Field(description="name of the sweep")
    system: str = Field(description="name of the system")
    axes: dict[str, list[AxisValue]] = Field(description="names of the values of every axis")
    repeats: int = Field(description="runs of each combination")
    runs: int = Field(description="runs that will be started")
    counts: dict[CombinationStatus, int] = Field(description="number of selected combinations by status")
    filtered_out: int = Field(description="combinations that the filters leave out")
    combinations: list[PlannedCombination] = Field(
        description=f"the selected combinations in the order of the axes, the first {MOST_ROWS:,}"
    )
    not_listed: int = Field(description="further combinations, which `combinations` does not list")
    cost: PlannedCost | None = Field(description="cost of all runs, null if the system has no jobs or it is unknown")
    before_it_can_run: list[str] = Field(description="what runs need and is missing, a sentence each")


def plan_document(
    prepared: PreparedSweep, refused: Mapping[str, str], result: Callable[[str], Result | None], ahead: Searching
) -> PlanDocument:
    """Return the plan of a sweep; `refused` is as in `print_plan`, `result` and `ahead` as in `print_cost`."""
    plan, chosen = prepared.planned.plan, set(prepared.selected)
    shown = prepared.cells
    missing: list[str] = []
    cost: Cost | None = None
    try:
        cost = expected_cost(prepared, result, ahead)
    except InputError as error:
        missing.append(str(error))
    missing += lacking(prepared)
    return PlanDocument(
        sweep=plan.sweep,
        system=prepared.system.name,
        axes=plan.axes,
        repeats=plan.repeats,
        runs=len(chosen - refused.keys()),
        counts=dict(Counter(status_of(cell, refused) for cell in shown)),
        filtered_out=len(plan.cells) - len(shown),
        combinations=[_combination(cell, chosen, refused) for cell in shown[:MOST_ROWS]],
        not_listed=max(0, len(shown) - MOST_ROWS),
        cost=_cost(cost) if cost else None,
        before_it_can_run=missing,
    )


def _cost(cost: Cost) -> PlannedCost:
    runs = sum(len(pack.runs) for pack in cost.packs)
    return PlannedCost(runs=runs, jobs=len(cost.packs), node_hours=cost.hours)


def _combination(cell: Cell, chosen: set[str], refused: Mapping[str, str]) -> PlannedCombination:
    layout: Layout | None = cell.layout
    return PlannedCombination(
        labels=cell.labels,
        status=status_of(cell, refused),
        reason=reason_of(cell, refused),
        same_as=cell.same_as,
        federation=layout.federation if layout else None,
        replicate=layout.replicate if layout else None,
        shard=layout.shard if layout else None,
        runs=[run for run in cell.runs if run in chosen],
    )
