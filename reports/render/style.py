"""How a strategy looks in every plot: the same colour and marker everywhere, told apart by the colour-blind too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from bench.contract.layout import StrategyName

# Okabe and Ito, "Color Universal Design" (2008), without yellow (too faint on white) and black (kept for references)
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9")
_MARKERS = ("o", "s", "^", "D", "v", "P")
_DASHES = ("-", "--", ":", "-.")


@dataclass(frozen=True)
class Look:
    """Colour and marker of a strategy."""

    colour: str
    marker: str


def looks(strategies: Sequence[str]) -> dict[str, Look]:
    """The look of each strategy; those that bear a stock name look the same in every sweep."""
    stock = get_args(StrategyName)
    own = [strategy for strategy in dict.fromkeys(strategies) if strategy not in stock]
    present = [strategy for strategy in stock if strategy in strategies]
    free = [index for index in range(len(_COLOURS)) if index >= len(stock) or stock[index] not in present]
    places = {strategy: stock.index(strategy) for strategy in present}
    places |= {strategy: free[number % len(free)] for number, strategy in enumerate(own)}
    return {strategy: Look(_COLOURS[place], _MARKERS[place]) for strategy, place in places.items()}


def dashes(number: int) -> str:
    """Line style of a strategy's further rows (other numbers of streams): 0 is the plain line."""
    return _DASHES[number % len(_DASHES)]
