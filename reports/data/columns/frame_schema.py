"""The columns of the frames with their types and meanings: the same for every sweep, but for its axes."""

from __future__ import annotations

from typing import Any

from bench.contract.base import AxisValue
from bench.contract.plan import Plan
from bench.contract.training import Training
from reports.data.columns.base import Column, Kind, kinds_of
from reports.data.columns.measured import MEASURED
from reports.data.columns.origin import ORIGIN
from reports.data.columns.parts import PARTS
from reports.data.columns.settings import CELL, LAYOUT, PREDICTED, SETTINGS
from reports.data.columns.status import ATTEMPT, STATUS
from reports.data.columns.target import TARGET
from reports.data.columns.units import unit

AXIS = "axis."
"""Prefix of the columns that hold the label of each axis, as the matrix file names it."""

_ASKED: tuple[Column[Any], ...] = (*STATUS, *CELL, *LAYOUT, *SETTINGS, *PREDICTED, *ATTEMPT)
_COLUMNS: dict[str, Column[Any]] = {column.name: column for column in (*_ASKED, *MEASURED, *ORIGIN, *PARTS, *TARGET)}

TIMED_RUNS: dict[str, Kind] = kinds_of((*_ASKED, *MEASURED, *ORIGIN))
"""Kinds of the columns of timed runs, without the axes."""
BREAKDOWN_RUNS: dict[str, Kind] = kinds_of((*_ASKED, *PARTS, *ORIGIN))
"""The same of breakdown runs."""


def axis_kinds(plan: Plan) -> dict[str, Kind]:
    """Return the kind of each axis's column."""
    return {AXIS + name: _axis_kind(name, labels) for name, labels in plan.axes.items()}


def description(name: str) -> str:
    """Return what a column means, in Markdown."""
    if name.startswith(AXIS):
        return f"label of the axis `{name.removeprefix(AXIS)}`, as the matrix file names it"
    return _COLUMNS[name].meaning


def unit_of(name: str) -> str | None:
    """Return the unit of a column; None for texts and truth values."""
    if name.startswith(AXIS):
        return None
    return unit(name) if _COLUMNS[name].kind in ("whole", "number") else None


def _axis_kind(name: str, labels: list[AxisValue]) -> Kind:
    """Return the kind of an axis's labels; `1` for a setting that may be a fraction is a number like `0.5`."""
    kinds = {type(label) for label in labels}
    field = Training.model_fields.get(name)
    if kinds == {bool}:
        return "flag"
    if kinds == {int}:
        return "number" if field is not None and "float" in str(field.annotation).lower() else "whole"
    return "number" if kinds <= {int, float} else "text"
