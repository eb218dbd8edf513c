"""Where the time of a step goes, by the breakdown runs of a table's cells."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

from bench.contract.results.breakdown import Part
from bench.contract.results.outcomes import Outcome
from reports.cells.figures import tally
from reports.cells.grid import Grid, Row
from reports.cells.metrics import BY_KEY, seconds
from reports.data.columns.parts import STEP, part_column
from reports.data.frame import LoadedSweep, Record

_SHARE = BY_KEY["efficiency"].style


@dataclass(frozen=True)
class StepParts:
    """The parts of a step of one row on one node count: means over its breakdown runs, in seconds per step."""

    row: Row
    nodes: int
    step: float
    parts: dict[Part, float]
    runs: int

    def text(self, part: Part) -> str:
        """Return `12.3 ms (45.6 %)`: the part's time and its share of the step."""
        time, share = self.parts[part], self.parts[part] / self.step
        return f"{time_text(time)} ({_SHARE(share).number(share)} %)"


@dataclass(frozen=True)
class Breakdown:
    """The breakdown of a table's cells, row by row; without a completed breakdown run, `cells` is empty.

    Attributes:
        outcomes: what became of the runs: `3 completed, 1 oom`.
        cautions: names of the cautions that were recorded with them.

    """

    cells: list[StepParts]
    outcomes: str
    cautions: list[str]

    @property
    def distinct(self) -> list[StepParts]:
        """Its cells; of several that show the same runs one, the one whose own they are if it is shown."""
        found: dict[tuple[str, ...], StepParts] = {}
        for cell in self.cells:
            planned = cell.row.cells[cell.nodes].planned
            runs = tuple(planned.breakdown_runs)
            if runs not in found or planned.status == "run":
                found[runs] = cell
        return list(found.values())

    def cell(self, row: Row, nodes: int) -> StepParts | None:
        """Return what was measured of a row on a node count; the row may be a part of the table's own."""
        return next((cell for cell in self.cells if cell.row.label == row.label and cell.nodes == nodes), None)


def time_text(value: float) -> str:
    """Return a time with its unit: `12.3 ms`."""
    style = seconds(value)
    return style.number(value) + style.unit


def breakdown(grid: Grid, sweep: LoadedSweep) -> Breakdown | None:
    """Return the breakdown of a grid's cells; None if the plan has no breakdown runs of them."""
    by_id = sweep.breakdown_records
    found: list[Record] = []
    cells = []
    for row in grid.rows:
        for nodes in grid.nodes:
            planned = row.cells[nodes].planned.breakdown_runs if nodes in row.cells else []
            of_cell = [by_id[run] for run in planned if run in by_id]
            found += of_cell
            completed = [
                record for record in of_cell if record["outcome"] == Outcome.COMPLETED and record.get(STEP) is not None
            ]
            if completed:
                parts = {part: fmean(record[part_column(part)] for record in completed) for part in Part}
                step = fmean(record[STEP] for record in completed)
                cells.append(StepParts(row, nodes, step, parts, len(completed)))
    if not found:
        return None
    distinct = list({record["run"]: record for record in found}.values())
    cautions = dict.fromkeys(caution for record in distinct for caution in record["cautions"].split(", ") if caution)
    return Breakdown(cells, tally([record["outcome"] for record in distinct]), list(cautions))
