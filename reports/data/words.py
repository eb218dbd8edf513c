"""Numbers with their nouns."""

from __future__ import annotations


def counted(number: object, noun: str) -> str:
    """Return `1 node`, `2 nodes`."""
    return f"{number} {noun}{'' if str(number) == '1' else 's'}"
