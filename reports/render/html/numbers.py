"""Numbers as the data of the page has them: short, and none that JSON lacks."""

from __future__ import annotations

import math
from collections.abc import Iterable

_DIGITS = 6


def short(value: object) -> float | None:
    """Return a number with 6 significant digits, which plots and sorting need; None for one that is not finite."""
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(f"{value:.{_DIGITS}g}")


def shortened(values: Iterable[float]) -> list[float | None]:
    """Return each number as `short` has it."""
    return [short(float(value)) for value in values]
