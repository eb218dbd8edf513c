"""The rows of tables as columns of a tidy frame: names for `query`, and strategies that no pivot mixes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from reports.cells.grid import Grid, Row
from reports.data.columns.base import Kind, Scalar
from reports.data.columns.frame_schema import AXIS, description
from reports.data.columns.units import unit
from reports.data.words import counted, shown

ROW: dict[str, Kind] = {"table": "text", "combination": "text", "row": "text", "strategy": "text"}
"""Kinds of the columns of `row_columns`."""
IN_UNIT = ("value", "low", "high")
"""Columns whose unit is in the column `unit`, since rows differ in it."""
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


def finished(
    frame: pd.DataFrame, problems: Iterable[str], meanings: Mapping[str, str] = MappingProxyType({})
) -> pd.DataFrame:
    """Return the frame with names for `query`, and with its columns' units and meanings, and problems, in `attrs`.

    Args:
        frame: all columns; those of axes are called `axis.model`.
        problems: a sentence for each damaged file.
        meanings: of columns that the frame of runs has not, or not with this meaning.

    """
    named = frame.rename(columns=column_name)
    units = {name: _unit(name, frame[name]) for name in map(str, frame.columns)}
    own = _MEANINGS | dict(meanings)
    named.attrs["units"] = {column_name(name): unit for name, unit in units.items() if unit is not None}
    named.attrs["meanings"] = {column_name(name): own.get(name) or description(name) for name in units}
    named.attrs["problems"] = list(problems)
    return named


def _unit(name: str, values: pd.Series) -> str | None:
    """Return the unit of a column of numbers; None for others, and for numbers that have theirs in column `unit`."""
    is_number = is_numeric_dtype(values.dtype) and not is_bool_dtype(values.dtype)
    return unit(name) if is_number and not name.startswith(AXIS) and name not in IN_UNIT else None
