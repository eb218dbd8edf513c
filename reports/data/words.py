"""Numbers with their nouns, and values as a matrix file has them."""

from __future__ import annotations

from collections.abc import Sequence


def counted(number: object, noun: str) -> str:
    """Return `1 node`, `2 nodes`."""
    return f"{number} {noun}{'' if str(number) == '1' else 's'}"


def first_few(texts: Sequence[str], most: int) -> str:
    """Return at most so many texts, `one; two; and 3 more`."""
    more = [f"and {len(texts) - most} more"] if len(texts) > most else []
    return "; ".join([*texts[:most], *more])


def shown(value: object) -> str:
    """Return a value as a matrix file has it: `true`, not `True`."""
    return str(value).lower() if isinstance(value, bool) else str(value)
