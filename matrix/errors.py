"""Errors that users can correct, and helpers to word them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


class InputError(Exception):
    """Invalid user input. The message has one sentence per fault: file, key and what would be valid."""


ALIASES = {
    "batch": "batch_size",
    "bs": "batch_size",
    "diloco": "federated",
    "dtype": "precision",
    "env": "environment",
    "gpus": "ranks_per_node",
    "gradient_accumulation_steps": "accumulation",
    "gradient_checkpointing": "activation_checkpointing",
    "local_sgd": "federated",
    "lr": "learning_rate",
    "max_steps": "steps",
    "micro_batch_size": "batch_size",
    "nproc_per_node": "ranks_per_node",
    "seq_len": "sequence_length",
    "zero3": "fsdp",
}
"""What other programs call the words of these files."""


def _plain(word: str) -> str:
    return re.sub(r"[-_. ]", "", word).lower()


_PLAIN_ALIASES = {_plain(alias): word for alias, word in ALIASES.items()}


def closest(word: object, known: Iterable[object]) -> str | None:
    """Return the known word that was probably meant: whatever its case and hyphens, by another name, or misspelt."""
    words, plain = [as_text(item) for item in known], _plain(as_text(word))
    alike = [each for each in words if _plain(each) == plain or each == _PLAIN_ALIASES.get(plain)]
    return next(iter(alike or difflib.get_close_matches(as_text(word), words, n=1)), None)


def suggestion(word: object, known: Iterable[object]) -> str:
    """Return ` (did you mean 'steps'?)` for a close match, else the known words if there are at most 30, else ""."""
    words = [as_text(item) for item in known]
    if (nearest := closest(word, words)) is not None:
        return f" (did you mean {nearest!r}?)"
    return f" (known: {', '.join(words)})" if 0 < len(words) <= 30 else ""


def as_text(value: object) -> str:
    """Format a value as written in YAML and on the command line: `true`, `null`, `1` for 1.0."""
    if value is None:
        return "null"
    text = str(value)
    if isinstance(value, float):
        return text.removesuffix(".0")
    return text.lower() if isinstance(value, bool) else text


class LostClaimError(RuntimeError):
    """Another runner has taken the sweep because this one showed no sign of life, for example while stopped."""


class LostHostError(RuntimeError):
    """A host of the allocation no longer responds; the remaining runs need another job."""


class SchedulerError(RuntimeError):
    """A command of the scheduler failed; the message is its output."""


class NoAnswerError(SchedulerError):
    """The scheduler did not confirm whether it carried out a command."""
