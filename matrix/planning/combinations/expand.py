"""Expand lists of values to combinations: the product of the axes, minus exclusions, plus inclusions."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from bench.contract.base import AxisValue

Point = dict[str, AxisValue]
"""A combination: the name of one value for every axis."""

Match = Mapping[str, Sequence[AxisValue]]


def matches(point: Mapping[str, AxisValue], match: Match) -> bool:
    """Return True if a combination has one of the listed values on every listed axis."""
    return all(point[axis] in values for axis, values in match.items())


def expand(axes: Mapping[str, Sequence[AxisValue]], exclude: Sequence[Match], include: Sequence[Match]) -> list[Point]:
    """Return combinations in the order of the axes, the last axis varying fastest.

    Values that occur only in an include come last.
    """
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
