"""From the runs of one cell to its figure, or to what stands there instead."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from bench.contract.outcomes import Outcome
from bench.contract.plan import Plan
from reports.data.frame import DAMAGED, NOT_RUN
from reports.data.words import counted
from reports.stats.intervals import Estimate, mean, ratio
from reports.tables.grid import Grid, Point, Row
from reports.tables.metrics import Metric


@dataclass(frozen=True)
class Reference:
    """What speed-up and efficiency of one table are held against: the same for all rows."""

    strategy: str
    nodes: int
    point: Point | None
    """None where the reference's cell is not in the table's plan."""

    @property
    def completed(self) -> bool:
        """Whether there is anything to hold figures against."""
        return self.point is not None and bool(self.point.completed)

    def __str__(self) -> str:
        return f"{self.strategy} on {counted(self.nodes, 'node')}"


def reference_of(grid: Grid, plan: Plan) -> Reference:
    """The plan's reference, within this table's model, batch size and further axes."""
    strategy, nodes = str(plan.reference["strategy"]), int(plan.reference["nodes"])
    row = _row_of(grid, strategy)
    return Reference(strategy, nodes, row.points.get(nodes) if row else None)


def _row_of(grid: Grid, strategy: str) -> Row | None:
    return next((row for row in grid.rows if row.strategy == strategy), None)


def estimate(metric: Metric, grid: Grid, row: Row, nodes: int, reference: Reference) -> Estimate | None:
    """The figure of one cell; None where a run that it needs did not complete."""
    point = row.points.get(nodes)
    if point is None:
        return None
    figures = point.figures(metric.column)
    if metric.against is None:
        return mean(list(figures.values()))
    other = _other(metric, grid, row, nodes, reference)
    return None if other is None else ratio(figures, other.figures(metric.column))


def _other(metric: Metric, grid: Grid, row: Row, nodes: int, reference: Reference) -> Point | None:
    if metric.against == "reference":
        return reference.point
    if metric.against == "own smallest":
        return next((row.points[n] for n in grid.nodes if n in row.points and row.points[n].completed), None)
    base = _row_of(grid, reference.strategy)
    return base.points.get(nodes) if base else None


def ending(point: Point | None) -> str:
    """What a cell shows when no run of it completed: its outcome, never a blank."""
    if point is None:
        return "not in the matrix"
    if point.cell.status == "impossible":
        return "impossible"
    return ", ".join(dict.fromkeys(_spoken(record["outcome"]) for record in point.records)) or "not run"


def shortfall(point: Point) -> str:
    """`2 of 3; oom` where some of a cell's runs completed and others did not, else empty."""
    completed = len(point.completed)
    if completed == len(point.records):
        return ""
    others = dict.fromkeys(_spoken(record["outcome"]) for record in point.records if record not in point.completed)
    return f"{completed} of {len(point.records)}; {', '.join(others)}"


def reasons(point: Point | None) -> list[str]:
    """Why a cell's runs are impossible or failed, each once: `oom: CUDA out of memory ...`."""
    if point is None:
        return []
    if point.cell.status == "impossible":
        return [f"impossible: {point.cell.reason}"]
    return list(
        dict.fromkeys(
            f"{record['outcome']}: {record['reason']}"
            for record in point.records
            if record["outcome"] not in (Outcome.COMPLETED, NOT_RUN) and record["reason"]
        )
    )


def stands_for(point: Point) -> str:
    """`= fsdp` where a cell shows another cell's runs, else empty."""
    if point.cell.status != "same":
        return ""
    other = point.cell.same_as
    if "strategy" in other:
        return f"= {other['strategy']}"
    return "= " + ", ".join(f"{name} {label}" for name, label in other.items())


def tally(outcomes: list[str]) -> str:
    """`22 completed, 1 oom, 1 not run`, the most frequent first."""
    return ", ".join(f"{count} {_spoken(outcome)}" for outcome, count in Counter(outcomes).most_common())


def _spoken(outcome: object) -> str:
    return str(outcome).replace(NOT_RUN, "not run")


def damaged(point: Point) -> bool:
    """Whether a file of one of the cell's runs could not be read."""
    return any(record["outcome"] == DAMAGED for record in point.records)
