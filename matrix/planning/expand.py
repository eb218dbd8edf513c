"""From lists of values to points: the product of the axes, less what is excluded, and what is included."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from bench.contract.base import AxisValue

Point = dict[str, AxisValue]
"""The name of one value on every axis."""

Match = Mapping[str, Sequence[AxisValue]]


def matches(point: Mapping[str, AxisValue], match: Match) -> bool:
    """Whether the point has one of the listed values on every axis that is listed."""
    return all(point[axis] in values for axis, values in match.items())


def expand(axes: Mapping[str, Sequence[AxisValue]], exclude: Sequence[Match], include: Sequence[Match]) -> list[Point]:
    """Points in the order of the axes, the last axis fastest; values that only an include has come after the others."""
    points = [point for point in _product(axes) if not any(matches(point, match) for match in exclude)]
    for match in include:
        points += _product({**axes, **match})
    order = {axis: _order(values, [match.get(axis, ()) for match in include]) for axis, values in axes.items()}
    distinct = {tuple(point.values()): point for point in points}
    return sorted(distinct.values(), key=lambda point: [order[axis][value] for axis, value in point.items()])


def _product(axes: Match) -> list[Point]:
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def _order(values: Sequence[AxisValue], more: Sequence[Sequence[AxisValue]]) -> dict[AxisValue, int]:
    distinct = dict.fromkeys(itertools.chain(values, *more))
    return {value: place for place, value in enumerate(distinct)}
