"""The losses of the runs of a table, row by row, as plots draw them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from bench.contract.results.measured import Validation
from bench.contract.results.result import Result
from bench.contract.storage.files import RunFolder
from reports.cells.grid import CellRuns, Grid, Row
from reports.data.curves import Curve, read_curve
from reports.data.step_table import Floats

LARGEST = 700.0
"""Loss of which the perplexity is still a number."""


@dataclass(frozen=True)
class LossLine:
    """What is drawn of a row; `number` is its place in the table."""

    number: int
    row: Row
    cell: CellRuns
    curves: list[Curve]
    validations: list[list[Validation]]
    """Those during the training, and the one at its end, of each curve's run; empty without."""

    @cached_property
    def losses(self) -> Floats:
        """Losses of shape (repeats, steps)."""
        return np.minimum([curve.losses for curve in self.curves], LARGEST)


def most_completed(grid: Grid) -> int:
    """Return the node count on which most strategies completed, the largest of several."""

    def completed(nodes: int) -> int:
        return sum(bool(row.cells[nodes].completed) for row in grid.rows if nodes in row.cells)

    return max(grid.nodes, key=lambda nodes: (completed(nodes), nodes))


def loss_lines(grid: Grid, nodes: int, sweep: Path, results: Mapping[str, Result]) -> tuple[list[LossLine], list[str]]:
    """Return the rows with completed runs on these nodes, and a sentence for each run that cannot be read."""
    lines = []
    problems = []
    for number, row in enumerate(grid.rows):
        curves, validations = [], []
        for record in row.cells[nodes].completed if nodes in row.cells else []:
            path = RunFolder(sweep / "runs" / str(record["run"])).steps
            try:
                curves.append(read_curve(path, int(record["federation"])))
            except (OSError, ValueError, KeyError) as error:
                reason = str(error).splitlines()[0]
                problems.append(f"{path} cannot be read, so its losses are not plotted: {reason}")
                continue
            result = results.get(str(record["run"]))
            validations.append(result.measured.validations if result and result.measured else [])
        if curves:
            lines.append(LossLine(number, row, row.cells[nodes], curves, validations))
    return lines, problems
