"""The look of a row in interactive plots: that of the other plots, in plotly's words."""

from __future__ import annotations

from typing import Any

from reports.render.plotting.style import Look

_SYMBOLS = {
    "o": "circle",
    "s": "square",
    "^": "triangle-up",
    "D": "diamond",
    "v": "triangle-down",
    "P": "cross",
    "X": "x",
    "*": "star",
    "p": "pentagon",
    "<": "triangle-left",
    "h": "hexagon",
    ">": "triangle-right",
}


def row_look(look: Look, number: int) -> dict[str, Any]:
    """Return colour, symbol, dash and text beside each point of a strategy's row `number`; 0 is the plain one.

    A strategy whose marker is its number has it as text.
    """
    symbol = _SYMBOLS.get(look.marker, "circle")
    return {
        "colour": look.colour,
        "symbol": f"{symbol}-open" if number else symbol,
        "dash": "8px,3px" + ",2px,3px" * (number - 1) if number else "solid",
        "text": "" if look.marker in _SYMBOLS else look.marker.strip("$"),
    }
