"""A column of the frame: its name, its meaning, and how its value is computed from a run's documents."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, ParamSpec

GIB = 2**30

Scalar = bool | int | float | str | None
Source = ParamSpec("Source")


@dataclass(frozen=True)
class Column(Generic[Source]):
    """One column of the frame."""

    name: str
    """With the unit, where there is one: `window_s`, `state_gib`."""
    meaning: str
    """Markdown for docs/reference/metrics.md, which is generated from it."""
    value: Callable[Source, Scalar]


def values(columns: Iterable[Column[Source]], *args: Source.args, **kwargs: Source.kwargs) -> dict[str, Scalar]:
    """Return the value of each column by its name."""
    return {column.name: column.value(*args, **kwargs) for column in columns}


def gib(size: Scalar) -> float | None:
    """Return a number of bytes as GiB; None stays None."""
    return None if size is None else float(size) / GIB
