"""The look of a strategy: the same colour and marker in every plot, distinct without colour vision too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, get_args

from bench.contract.layout import StrategyName

# Okabe and Ito, "Color Universal Design" (2008), without yellow (too faint on white) and black (kept for references)
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "p", "<", "h", ">")
_FILLS = ("full", "left", "right", "bottom", "top")


@dataclass(frozen=True)
class Look:
    """Colour and marker of a strategy."""

    colour: str
    marker: str


def looks(strategies: Sequence[str]) -> dict[str, Look]:
    """Return a distinct look for each strategy; those with a stock name look the same in every sweep."""
    stock = get_args(StrategyName)
    places = {strategy: stock.index(strategy) for strategy in strategies if strategy in stock}
    free = (place for place in count() if place not in places.values())
    custom = [strategy for strategy in dict.fromkeys(strategies) if strategy not in stock]
    places |= dict(zip(custom, free, strict=False))
    return {strategy: _look(place) for strategy, place in places.items()}


def row_style(look: Look, number: int) -> dict[str, Any]:
    """Return a strategy's line style for its row `number` (one for each number of streams); 0 is the plain one."""
    return {
        "color": look.colour,
        "marker": look.marker,
        "fillstyle": _FILLS[number % len(_FILLS)],
        "markerfacecoloralt": "white",
        "linestyle": _dashes(number),
    }


def _look(place: int) -> Look:
    """Return the look of a place: colour and marker both change from one to the next, and no pair comes twice."""
    colour = COLOURS[place % len(COLOURS)]
    if place < len(COLOURS) * len(_MARKERS):
        # The shift by one marker in each round over the markers gives every colour all markers.
        return Look(colour, _MARKERS[(place + place // len(_MARKERS)) % len(_MARKERS)])
    return Look(colour, f"${place}$")


def _dashes(number: int) -> str | tuple[int, tuple[float, ...]]:
    """Return a solid line for 0, then dashes followed by one dot fewer than `number`."""
    return (0, (5, 2, *(1, 2) * (number - 1))) if number else "-"
