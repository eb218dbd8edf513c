"""What a person did wrong, said so that they can put it right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(Exception):
    """Bad input. The message is one sentence per fault, each with the file, the key and what would be right."""


def suggestion(word: object, known: Iterable[object]) -> str:
    """What was probably meant: ` (did you mean 'steps'?)`, else the known words, unless they are many."""
    words = [as_text(item) for item in known]
    nearest = difflib.get_close_matches(as_text(word), words, n=1)
    if nearest:
        return f" (did you mean {nearest[0]!r}?)"
    return f" (known: {', '.join(words)})" if 0 < len(words) <= 25 else ""


def as_text(value: object) -> str:
    """A value as people write it in YAML and on the command line: `true`, `null`, `1` for 1.0."""
    if value is None:
        return "null"
    text = str(value)
    if isinstance(value, float):
        return text.removesuffix(".0")
    return text.lower() if isinstance(value, bool) else text


class LostHostError(RuntimeError):
    """A host of the allocation does not answer any more: what is left to run belongs into another job."""
