"""A column of the frame: its name, its meaning, and how its value is computed from a run's documents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, ParamSpec

GIB = 2**30

Scalar = bool | int | float | str | None
Row = tuple[Scalar, ...]
Kind = Literal["text", "whole", "number", "flag"]
"""The type of a column's values, whatever they are: a column without any has it too."""
Source = ParamSpec("Source")


@dataclass(frozen=True)
class Column(Generic[Source]):
    """One column of the frame."""

    name: str
    """With the unit, where there is one: `window_s`, `state_gib`."""
    meaning: str
    """Markdown for docs/reference/metrics.md, which is generated from it."""
    value: Callable[Source, Scalar]
    kind: Kind


def kinds_of(columns: Iterable[Column[Any]]) -> dict[str, Kind]:
    """Return the kinds of columns by name."""
    return {column.name: column.kind for column in columns}


def text(name: str, meaning: str, value: Callable[Source, str | None]) -> Column[Source]:
    """Return a column of texts."""
    return Column(name, meaning, value, "text")


def whole(name: str, meaning: str, value: Callable[Source, int | None]) -> Column[Source]:
    """Return a column of integers."""
    return Column(name, meaning, value, "whole")


def number(name: str, meaning: str, value: Callable[Source, float | None]) -> Column[Source]:
    """Return a column of floating-point numbers."""
    return Column(name, meaning, value, "number")


def flag(name: str, meaning: str, value: Callable[Source, bool | None]) -> Column[Source]:
    """Return a column of truth values."""
    return Column(name, meaning, value, "flag")


def values(columns: Iterable[Column[Source]], *args: Source.args, **kwargs: Source.kwargs) -> dict[str, Scalar]:
    """Return the value of each column by its name."""
    return {column.name: column.value(*args, **kwargs) for column in columns}


def row(columns: Sequence[Column[Source]], *args: Source.args, **kwargs: Source.kwargs) -> Row:
    """Return the value of each column, in their order."""
    return tuple([column.value(*args, **kwargs) for column in columns])


def gib(size: Scalar) -> float | None:
    """Return a number of bytes as GiB; None stays None."""
    return None if size is None else float(size) / GIB
