"""Secrets in a matrix or system file, which is copied into results, scripts and command lines."""

from __future__ import annotations

import re
from collections.abc import Iterator

from matrix.config.reading.validation import Fault
from matrix.config.reading.yamlfile import Location

REMEDY = (
    "looks like a secret, and this file is copied into results: remove it, and export it in the shell that starts "
    "xffl-bench, from which ranks get it (SECURITY.md)"
)

_NAME = re.compile(r"(?:.*_)?(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS)", re.IGNORECASE)
_SWITCH = re.compile(r"\d{0,2}|true|false|yes|no|on|off", re.IGNORECASE)
"""Values of settings that are named like a secret: HF_HUB_DISABLE_IMPLICIT_TOKEN is 0 or 1."""

_VALUE = re.compile(
    r"://[^/\s:@]*:[^/\s@]+@"  # https://user:password@host
    r"|(?<![A-Za-z0-9])(?:"
    r"hf_[A-Za-z0-9]{16}|gh[opsur]_[A-Za-z0-9]{16}|github_pat_\w{16}|glpat-[\w-]{16}|sk-[\w-]{16}|xox[abprs]-[\w-]{10}"
    r"|A[KS]IA[A-Z0-9]{16}|eyJ[\w-]{8,}\.eyJ[\w-]{8,}\."
    r")"
)
"""URLs with a password, and the beginnings of tokens of Hugging Face, GitHub, GitLab, OpenAI, Slack, AWS and JWT."""

_WHOLE = re.compile(rf"(?:{_VALUE.pattern})[\w.~+/=-]*")


def without_secrets(text: str) -> str:
    """Return a text without what has the form of a secret."""
    return _WHOLE.sub("[secret removed]", text)


def secrets_in(data: object) -> Iterator[Fault]:
    """Yield every text with the form of a secret, and every variable of `environment` with the name of one."""
    for location, value in _leaves(data, (), frozenset()):
        is_named = location[0] == "environment" and len(location) == 2 and _NAME.fullmatch(str(location[1])) is not None
        text = str(getattr(value, "text", value))
        if (is_named and not _SWITCH.fullmatch(text)) or _VALUE.search(text):
            yield location, REMEDY


def _leaves(data: object, location: Location, above: frozenset[int]) -> Iterator[tuple[Location, object]]:
    """Yield texts and numbers with their locations; a YAML alias may make a list contain itself."""
    if id(data) in above:
        return
    inner = above | {id(data)}
    if isinstance(data, dict):
        for key, value in data.items():
            yield from _leaves(value, (*location, key), inner)
    elif isinstance(data, list):
        for place, value in enumerate(data):
            yield from _leaves(value, (*location, place), inner)
    elif location and isinstance(data, str | int | float):
        yield location, data
