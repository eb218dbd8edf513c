"""Errors that users can correct, and helpers to word them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(Exception):
    """Invalid user input. The message has one sentence per fault: file, key and what would be valid."""


def suggestion(word: object, known: Iterable[object]) -> str:
    """Return ` (did you mean 'steps'?)` for a close match, else the known words if there are at most 25, else ""."""
    words = [as_text(item) for item in known]
    nearest = difflib.get_close_matches(as_text(word), words, n=1)
    if nearest:
        return f" (did you mean {nearest[0]!r}?)"
    return f" (known: {', '.join(words)})" if 0 < len(words) <= 25 else ""


def as_text(value: object) -> str:
    """Format a value as written in YAML and on the command line: `true`, `null`, `1` for 1.0."""
    if value is None:
        return "null"
    text = str(value)
    if isinstance(value, float):
        return text.removesuffix(".0")
    return text.lower() if isinstance(value, bool) else text


class LostHostError(RuntimeError):
    """A host of the allocation no longer responds; the remaining runs need another job."""


class SchedulerError(RuntimeError):
    """A command of the scheduler failed; the message is its output."""


class NoAnswerError(SchedulerError):
    """The scheduler did not confirm whether it carried out a command."""
