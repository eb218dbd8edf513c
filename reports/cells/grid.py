"""The runs that one table compares: values of the compared axes as rows, node counts as columns."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import NamedTuple

from bench.contract.base import AxisValue
from bench.contract.plan import Cell, Plan
from bench.contract.results.outcomes import Outcome
from reports.data.frame import LoadedSweep, Record, records
from reports.data.words import counted, shown
from reports.stats.comparison import Sample

Labels = dict[str, AxisValue]


class _Origin(NamedTuple):
    session: str
    started: float | None
    allocation: str


@dataclass(frozen=True)
class CellRuns:
    """The runs of one table cell; a combination that equals another has that one's runs."""

    planned: Cell
    records: list[Record]
    """Rows of the frame, one for each repeat."""

    @cached_property
    def completed(self) -> list[Record]:
        """Records of the runs that completed, the only ones with values to compare."""
        return [record for record in self.records if record["outcome"] == Outcome.COMPLETED]

    @cached_property
    def others(self) -> list[Record]:
        """Records of the runs that did not complete."""
        return [record for record in self.records if record["outcome"] != Outcome.COMPLETED]

    @property
    def missed(self) -> int:
        """Completed runs that did not reach the target loss."""
        return sum(record.get("target_reached") is False for record in self.completed)

    def figures(self, column: str) -> dict[int, float]:
        """Return a column's values of the completed runs, by repeat."""
        found = {}
        for record in self.completed:
            value = record.get(column)
            if value is not None and not math.isnan(value):
                found[int(record["repeat"])] = float(value)
        return found

    def by_allocation(self, column: str) -> list[list[float]]:
        """Return the same, divided by the allocation that runs were in; without any, each run is for itself."""
        figures = self.figures(column)
        if not any(self._origins[repeat].allocation for repeat in figures):
            return [[value] for value in figures.values()]
        divided: dict[str, list[float]] = {}
        for repeat, value in figures.items():
            divided.setdefault(self._origins[repeat].allocation, []).append(value)
        return list(divided.values())

    def samples(self, column: str) -> list[Sample]:
        """Return the same with their sessions and starts; results that name no session are of one."""
        if column not in self._samples:
            self._samples[column] = [
                Sample(value, origin.session, repeat, origin.started, origin.allocation)
                for repeat, value in self.figures(column).items()
                for origin in (self._origins[repeat],)
            ]
        return self._samples[column]

    @cached_property
    def run_ids(self) -> tuple[str, ...]:
        """The completed runs."""
        return tuple(record["run"] for record in self.completed)

    @cached_property
    def _samples(self) -> dict[str, list[Sample]]:
        return {}

    @cached_property
    def _origins(self) -> dict[int, _Origin]:
        """Where and when each completed run was made, by repeat: parsed once for all metrics."""
        return {
            int(record["repeat"]): _Origin(_session(record), _started(record), _allocation(record))
            for record in self.completed
        }


@dataclass(frozen=True)
class Row:
    """One combination of values of the compared axes; with several numbers of communicators there is a row for each."""

    labels: Labels
    """Of the compared axes."""
    cuda_streams: AxisValue | None
    label: str
    uses_streams: bool
    """False if the number of communicators makes no difference: `cuda_streams` is then one of those in the plan."""
    cells: dict[int, CellRuns]
    """By node count; contains only combinations of the plan."""

    @property
    def look(self) -> str:
        """What rows share that look alike in plots: the strategy where strategies are compared."""
        return str(self.labels.get("strategy", self.label))


@dataclass(frozen=True)
class Choice:
    """How the configurations of a table were chosen: by which repeats, and which are measured.

    Attributes:
        axes: those whose values make a configuration.
        choosing, measured: indices of repeats.

    """

    axes: tuple[str, ...]
    choosing: tuple[int, ...]
    measured: tuple[int, ...]

    @property
    def is_biased(self) -> bool:
        """True if the same repeats choose and are measured."""
        return not set(self.choosing).isdisjoint(self.measured)

    @property
    def text(self) -> str:
        """Sentence part for a caption."""
        choosing, measured = (", ".join(map(str, repeats)) for repeats in (self.choosing, self.measured))
        how = (
            f"chosen and measured on the same repeats ({choosing})"
            if self.is_biased
            else f"chosen by tokens/s of the repeats {choosing} and measured on the others ({measured})"
        )
        return f"each cell has the best of {', '.join(self.axes)}, {how}"

    def configuration(self, cell: CellRuns) -> str:
        """Return the name of the configuration that a cell shows: `batch_size 8, compile true`."""
        return ", ".join(axis_text(axis, cell.planned.labels[axis]) for axis in self.axes)


@dataclass(frozen=True)
class Grid:
    """All runs of one model and value of every axis that is not compared."""

    labels: Labels
    """Labels of the axes with one value in the whole table."""
    compared: str
    """What the rows are: `strategy`, or `precision, compile`."""
    title: str
    slug: str
    """The title as a file name."""
    nodes: list[int]
    rows: list[Row]
    choice: Choice | None = None
    """Of a table in which every cell has another configuration, its best one."""

    @property
    def cells(self) -> list[CellRuns]:
        """All cells, row by row."""
        return [cell for _, _, cell in self.places()]

    def places(self) -> Iterator[tuple[Row, int, CellRuns]]:
        """Yield all cells with their row and node count, row by row."""
        return ((row, nodes, cell) for row in self.rows for nodes, cell in row.cells.items())

    def name(self, row: Row, nodes: int) -> str:
        """Return the name of a cell: `llama-tiny, batch size 2 / hsdp / 2 nodes`."""
        return f"{self.title} / {row.label} / {counted(nodes, 'node')}"

    def has(self, column: str) -> bool:
        """Return whether a completed run has a value of this column."""
        return any(cell.figures(column) for cell in self.cells)


def grids(sweep: LoadedSweep) -> list[Grid]:
    """Return a grid for each table, in the order of the plan's cells."""
    by_id = {record["run"]: record for record in records(sweep.frame)}
    inside = {*sweep.plan.compare, "nodes", "cuda_streams"}
    by_labels: dict[tuple[tuple[str, AxisValue], ...], list[CellRuns]] = {}
    for planned in sweep.plan.cells:
        outside = tuple((name, label) for name, label in planned.labels.items() if name not in inside)
        cell = CellRuns(planned, [by_id[run] for run in planned.runs if run in by_id])
        by_labels.setdefault(outside, []).append(cell)
    return [_grid(dict(outside), cells, sweep.plan) for outside, cells in by_labels.items()]


def _allocation(record: Record) -> str:
    """Return the batch job and the nodes that a run had, also where `run` was called several times in one; "" in none.

    A job that Slurm starts again keeps its id and may get other nodes.
    """
    return f"{record['job']} on {record['hosts']}" if record.get("job") else ""


def _session(record: Record) -> str:
    return str(record.get("session") or "")


def _started(record: Record) -> float | None:
    """Return the start of the attempt in seconds since the epoch; None before it has a result."""
    return datetime.fromisoformat(record["started"]).timestamp() if record.get("started") else None


def _grid(labels: Labels, cells: list[CellRuns], plan: Plan) -> Grid:
    title = title_of(labels, plan)
    nodes = sorted({_nodes(cell) for cell in cells})
    compared = [axis for axis in plan.compare if axis != "cuda_streams"] or ["strategy"]
    return Grid(labels, ", ".join(compared).replace("_", " "), title, slug_of(title), nodes, _rows(cells, compared))


def title_of(labels: Labels, plan: Plan) -> str:
    """Return the title of a table of these labels."""
    parts = [str(labels["model"])]
    parts += [str(labels["strategy"])] if "strategy" in labels and len(plan.axes["strategy"]) > 1 else []
    start = "from " if plan.regime == "max-batch" else ""
    parts += [f"batch size {start}{labels['batch_size']}"] if "batch_size" in labels else []
    parts += [axis_text(name, label) for name, label in plan.settings(labels).items()]
    return ", ".join(parts)


def slug_of(title: str) -> str:
    """Return a title as a file name."""
    return "".join(letter if letter.isalnum() or letter in ".-_" else "-" for letter in title.replace(", ", "."))


def _nodes(cell: CellRuns) -> int:
    return int(cell.planned.labels["nodes"])


def _rows(cells: list[CellRuns], compared: list[str]) -> list[Row]:
    """Return a row for each combination of values of the compared axes.

    Communicators are rows of their own, too, but only where their number makes a difference.
    """
    by_values: dict[tuple[AxisValue, ...], dict[AxisValue | None, dict[int, CellRuns]]] = {}
    for cell in cells:
        labels = cell.planned.labels
        by_streams = by_values.setdefault(tuple(labels[axis] for axis in compared), {})
        by_streams.setdefault(labels.get("cuda_streams"), {})[_nodes(cell)] = cell
    rows = []
    for values, by_streams in by_values.items():
        own = {streams: found for streams, found in by_streams.items() if _uses_streams(found)}
        kept = own or dict([next(iter(by_streams.items()))])
        rows += [
            Row(
                dict(zip(compared, values, strict=True)),
                streams,
                _label(compared, values, streams, len(kept)),
                len(own) > 1 or len(by_streams) == 1,
                found,
            )
            for streams, found in kept.items()
        ]
    return rows


def axis_text(axis: str, label: AxisValue) -> str:
    """Return a value with its axis: `compile true`, but only `fsdp` for a strategy."""
    return shown(label) if axis == "strategy" else f"{axis} {shown(label)}"


def _label(compared: list[str], values: tuple[AxisValue, ...], streams: AxisValue | None, rows: int) -> str:
    parts = [axis_text(axis, value) for axis, value in zip(compared, values, strict=True)]
    return ", ".join([*parts, counted(streams, "stream")] if rows > 1 else parts)


def _uses_streams(cells: dict[int, CellRuns]) -> bool:
    """Return whether a row has runs that the row of another number of streams has not."""
    return any(
        cell.planned.status == "run" or (cell.planned.status == "same" and "cuda_streams" not in cell.planned.same_as)
        for cell in cells.values()
    )
