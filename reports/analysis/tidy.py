"""The rows of tables as columns of a tidy frame: names for `query`, and strategies that no pivot mixes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd

from reports.cells.grid import Grid, Row
from reports.data.columns.base import Kind, Scalar
from reports.data.columns.frame_schema import AXIS, description, unit_of
from reports.data.words import counted, shown

ROW: dict[str, Kind] = {"table": "text", "combination": "text", "row": "text", "strategy": "text"}
"""Kinds of the columns of `row_columns`."""
_MEANINGS = {
    "sweep": "name of the sweep",
    "night": "ISO date of the folder above (results/2026-11-26/nightly), else of the first run's start (UTC)",
    "folder": "folder of the sweep, as it was given",
    "table": "title of the table: model, batch size and what else is the same in all its rows",
    "combination": "table, row and nodes",
    "row": "label of the table's row",
    "strategy": "strategy, with the number of CUDA streams where a table has a row for each number",
    "same_as": "the strategy (or other labels) whose runs these are, where combinations are equal; empty otherwise",
}


def column_name(name: str) -> str:
    """Return a name that DataFrame.query takes without backticks: `axis_model` for `axis.model`."""
    return f"axis_{name.removeprefix(AXIS)}" if name.startswith(AXIS) else name


def row_columns(grid: Grid, row: Row, nodes: int) -> dict[str, Scalar]:
    """Return the columns that say which cell a row of the frame is of."""
    labels = grid.labels | row.labels
    strategy = shown(labels.get("strategy", row.label))
    if row.uses_streams and sum(other.labels == row.labels for other in grid.rows) > 1 and row.cuda_streams is not None:
        strategy += f", {counted(row.cuda_streams, 'stream')}"
    return {"table": grid.title, "combination": grid.name(row, nodes), "row": row.label, "strategy": strategy}


def joined(kinds: Iterable[Mapping[str, Kind]]) -> dict[str, Kind]:
    """Return the kinds of the columns of several sweeps; an axis that is of two kinds is a number, else text."""
    found: dict[str, Kind] = {}
    for each in kinds:
        for name, kind in each.items():
            before = found.setdefault(name, kind)
            if kind != before:
                found[name] = "number" if {kind, before} == {"whole", "number"} else "text"
    return found


def finished(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with names for `query`, and with its columns' units and meanings in `attrs`."""
    named = frame.rename(columns=column_name)
    names = {column_name(name): name for name in map(str, frame.columns)}
    named.attrs["units"] = {column: unit for column, name in names.items() if (unit := _unit(name)) is not None}
    named.attrs["meanings"] = {column: _MEANINGS.get(name) or description(name) for column, name in names.items()}
    return named


def _unit(name: str) -> str | None:
    return None if name in _MEANINGS else unit_of(name)
