"""Columns that hold a recorded field of a measurement as it is, some by another name or in another unit."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from bench.contract.results.measured import Measured
from reports.data.columns.base import Column, Kind, Scalar

MeasuredColumn = Column[[Measured, int]]
MeasuredColumns = tuple[MeasuredColumn, ...]
"""Of a measurement and the run's number of ranks."""

_ELSEWHERE = {"window.block"}
"""Fields that are columns of the settings."""


@dataclass(frozen=True)
class Recorded(MeasuredColumn):
    """A column of one field; `path` names it, such as `window.seconds`."""

    path: str


def recorded(name: str, meaning: str, path: str, convert: Callable[[Scalar], Scalar] | None = None) -> Recorded:
    """Return the column of a field, converted to a floating-point number if there is a function for that.

    Its value is None where the part that has it was not recorded.
    """
    part, _, field = path.rpartition(".")

    def read(found: Measured, _: int) -> Scalar:
        holder = getattr(found, part) if part else found
        value: Scalar = None if holder is None else getattr(holder, field)
        return value if convert is None else convert(value)

    return Recorded(name, meaning, read, "number" if convert else _kind_of(path), path)


def with_others(columns: Iterable[MeasuredColumn], *parts: str) -> MeasuredColumns:
    """Return the columns, and behind them one for every number of these parts of a measurement that none of them shows.

    Such a column has the field's name and description, so that what ranks newly record is in the frame at once.
    """
    columns = tuple(columns)
    shown = {column.path for column in columns if isinstance(column, Recorded)} | _ELSEWHERE
    others = (
        recorded(name, field.description or "", f"{part}.{name}")
        for part in parts
        for name, field in _model(part).model_fields.items()
        if f"{part}.{name}" not in shown and _is_number(field.annotation)
    )
    return (*columns, *others)


def _kind_of(path: str) -> Kind:
    """Return the kind of a field's values."""
    part, _, name = path.rpartition(".")
    kinds = {*_kinds((_model(part) if part else Measured).model_fields[name].annotation)} - {type(None)}
    if kinds == {int}:
        return "whole"
    if kinds == {bool}:
        return "flag"
    return "number" if kinds <= {int, float} else "text"


def _model(part: str) -> type[BaseModel]:
    return next(kind for kind in _kinds(Measured.model_fields[part].annotation) if issubclass(kind, BaseModel))


def _is_number(annotation: object) -> bool:
    return bool({int, float} & set(_kinds(annotation)))


def _kinds(annotation: Any) -> list[type]:  # noqa: ANN401 - a type, or what stands for several
    """Return the types that a field may have, without their limits."""
    several = get_args(annotation) if get_origin(annotation) in (UnionType, Union) else [annotation]
    return [get_args(kind)[0] if get_origin(kind) is Annotated else kind for kind in several]
