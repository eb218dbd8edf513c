"""The scaling tables of several sweeps as one tidy frame."""

from __future__ import annotations

from os import PathLike

import pandas as pd

from reports.analysis.sweeps import sweeps
from reports.analysis.tidy import finished, row_columns
from reports.cells.comparability import Comparability
from reports.cells.metrics import BY_KEY
from reports.data.faults import ReportError
from reports.tables.long_form import long_form
from reports.tables.tables import Table, tables

_MEANINGS = {
    "metric": "key of the metric: docs/reference/metrics.md",
    "unit": "unit of value, low and high",
    "layout": "federation x replicate x shard",
    "outcome": "completed, or what the cell shows instead of a value",
    "value": "figure of the cell, as in tables.csv",
    "low": "lower end of the 95 % interval, or of the range",
    "high": "upper end of the 95 % interval, or of the range",
    "count": "repeats, sessions or pairs that the figure is of",
    "interval": "whether low and high bound a 95 % interval; else they are the range",
    "rule": "pairs of one session, seeds or sessions that a comparison is over; of a mean, sessions or nothing",
    "pair_gap_s": "largest difference between the starts of the runs of a pair",
    "not_comparable": "attributes that differ between the compared cells and should agree; empty otherwise",
    "cautions": "names of the cautions of the table, wherever in it they apply: docs/reference/metrics.md",
}
_TEXTS = ("table", "metric", "layout", "outcome", "same_as", "rule", "not_comparable", "cautions", "row", "unit")


def scaling_table(*folders: str | PathLike[str], metric: str | None = None) -> pd.DataFrame:
    """Return the implementation of `reports.scaling_table`."""
    if metric is not None and metric not in BY_KEY:
        raise ReportError(f"metric: {metric!r} is none: choose one of {', '.join(BY_KEY)}")
    parts: list[pd.DataFrame] = []
    problems: list[str] = []
    for sweep in sweeps(folders):
        parts.append(_of_sweep(sweep.origin, tables(Comparability(sweep.read))))
        problems += sweep.read.problems
    made = pd.concat(parts)
    if metric is not None:
        made = made[made["metric"] == metric]
    first = ["sweep", "night", "folder", "table", "combination", "row", "strategy", "nodes", "metric", "unit"]
    made = made[[*first, *(name for name in made.columns if name not in first)]].reset_index(drop=True)
    texts = dict.fromkeys((*_TEXTS, "sweep", "night", "folder", "combination", "strategy"), "string")
    numbers = dict.fromkeys(("value", "low", "high", "pair_gap_s"), "float64")
    return finished(made.astype(texts | numbers), problems, _MEANINGS)


def _of_sweep(origin: dict[str, bool | int | float | str | None], made: list[Table]) -> pd.DataFrame:
    """Return all cells of a sweep's tables, in the order of `long_form`."""
    places = [
        row_columns(table.grid, row, nodes) | {"unit": block.metric.unit}
        for table in made
        for block in table.blocks
        for row in table.grid.rows
        for nodes in table.grid.nodes
    ]
    return long_form(made).assign(
        **pd.DataFrame(places, columns=["table", "combination", "row", "strategy", "unit"]), **origin
    )
