"""The data of the plots of losses: few points of each row, on every node count."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench.contract.results.result import Result
from reports.render.html.numbers import short, shortened
from reports.render.plotting.loss_lines import LossLine, loss_lines, most_completed
from reports.tables.tables import Table

MOST_POINTS = 120
"""Of one line; a plot is about 400 pixels wide."""


def loss_data(table: Table, sweep: Path, results: Mapping[str, Result]) -> tuple[dict[str, Any] | None, list[str]]:
    """Return the lines of every node count, and a sentence for each unreadable file; None where no run has losses."""
    by_nodes, problems = {}, []
    for nodes in table.grid.nodes:
        lines, unread = loss_lines(table.grid, nodes, sweep, results)
        problems += unread
        if lines:
            by_nodes[str(nodes)] = [_line(line) for line in lines]
    if not by_nodes:
        return None, problems
    floors = sorted({floor for cell in table.grid.cells for floor in cell.figures("entropy_rate").values()})
    first = str(most_completed(table.grid))
    shown = first if first in by_nodes else next(iter(by_nodes))
    return {"by_nodes": by_nodes, "shown": shown, "floors": shortened(floors)}, problems


def _line(line: LossLine) -> dict[str, Any]:
    """Return mean, lowest and highest loss of the repeats at some steps, and their validations."""
    steps = line.losses.shape[1]
    picked = np.unique(np.linspace(0, steps - 1, min(steps, MOST_POINTS)).round().astype(int))
    seconds = np.mean([curve.seconds for curve in line.curves], axis=0)
    tokens = np.mean([curve.tokens for curve in line.curves], axis=0)
    losses = line.losses[:, picked]
    found = {
        "row": line.number,
        "seconds": shortened(seconds[picked]),
        "tokens": shortened(tokens[picked]),
        "mean": shortened(losses.mean(axis=0)),
    }
    if len(losses) > 1:
        found |= {"low": shortened(losses.min(axis=0)), "high": shortened(losses.max(axis=0))}
    counts = {len(of_run) for of_run in line.validations}
    if len(counts) == 1 and counts != {0}:
        moments = [each.step - 1 for each in line.validations[0]]
        found["validations"] = [
            [
                short(seconds[moment]),
                short(tokens[moment]),
                short(float(np.mean([run[k].loss for run in line.validations]))),
            ]
            for k, moment in enumerate(moments)
        ]
    return found
