"""Numbers with their nouns, and values as a matrix file has them."""

from __future__ import annotations


def counted(number: object, noun: str) -> str:
    """Return `1 node`, `2 nodes`."""
    return f"{number} {noun}{'' if str(number) == '1' else 's'}"


def shown(value: object) -> str:
    """Return a value as a matrix file has it: `true`, not `True`."""
    return str(value).lower() if isinstance(value, bool) else str(value)
