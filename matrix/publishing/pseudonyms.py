"""Pseudonyms in place of names: the same for the same name, in all files of a pack."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

from matrix.config.reading.credentials import without_secrets
from matrix.publishing.names import HOST_FIELDS, Names

SHORTEST = 2
"""Letters of the shortest name that is replaced wherever it is a word; a shorter one only in paths and fields of hosts.
"""

_EMAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}")
_ADDRESS = re.compile(
    r"(?<![\d.])(?:10(?:\.\d{1,3}){3}|192\.168(?:\.\d{1,3}){2}|172\.(?:1[6-9]|2\d|3[01])(?:\.\d{1,3}){2}"
    r"|(?!127\.)\d{1,3}(?:\.\d{1,3}){3}(?=:\d))(?![\d.])"
)
"""IPv4 addresses of private networks, and others with a port: four numbers alone may be a version."""

_DOMAIN = r"(?:\.(?P<domain>[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+))?"
"""What may follow a host: two labels or more, since one may be the ending of a file's name."""

_UNTOUCHED = {"packages"}
"""Fields of documents that hold versions of software by its name."""


class Pseudonyms:
    """Replaces names in texts and documents."""

    def __init__(self, names: Names) -> None:
        real = {*names.hosts, *names.users, *names.accounts}
        self.of_hosts = _numbered("host", names.hosts, real)
        self.of_domains = _numbered("domain", names.domains, real)
        self.of_users = _numbered("user", names.users, real)
        self.of_accounts = _numbered("account", names.accounts, real)
        self.of_homes = _numbered("/home/home", names.homes, real)
        self._addresses: dict[str, str] = {}
        self._hosts = {name.casefold(): pseudonym for name, pseudonym in self.of_hosts.items()}
        self._domains = {name.casefold(): pseudonym for name, pseudonym in self.of_domains.items()}
        self._words = {**self.of_accounts, **self.of_users, **self.of_domains}
        long = [name for name in (*self.of_hosts, *self._words) if len(name) >= SHORTEST]
        self._names = re.compile(_word(long)) if long else None
        self._steps = self._replacements(names)

    def text(self, text: str) -> str:
        """Return a text with pseudonyms, and without what has the form of a secret."""
        text = without_secrets(text)
        for pattern, replacement in self._steps:
            text = pattern.sub(replacement, text)
        return text

    def document(self, value: Any, field: str = "") -> Any:  # noqa: ANN401 - JSON
        """Return the content of a document with pseudonyms in its values; keys stay, except where they are names."""
        if field in _UNTOUCHED:
            return value
        if isinstance(value, dict):
            return {self._key(key, field): self.document(inner, key) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.document(inner, field) for inner in value]
        if not isinstance(value, str):
            return value
        return self._host(value) if field in HOST_FIELDS else self.text(value)

    def _key(self, key: str, field: str) -> str:
        """Return a key of a field, of which two have names as keys."""
        return self._host(key) if field == "switches" else self.text(key) if field == "models" else key

    def _host(self, name: str) -> str:
        """Return the pseudonym of a host, of which the name may be qualified and as short as it likes."""
        if name in self.of_hosts:  # an address among them
            return self.of_hosts[name]
        first, dot, domain = name.partition(".")
        return self.of_hosts.get(first, self.text(first)) + dot + self.of_domains.get(domain, self.text(domain))

    def remaining(self, text: str) -> str | None:
        """Return a name that is left in a text, as in a key of a document; None if there is none."""
        found = self._names.search(text) if self._names else None
        return found[0] if found else None

    def _replacements(self, names: Names) -> list[tuple[re.Pattern[str], Callable[[re.Match[str]], str] | str]]:
        """Return what is done to a text, in this order: what contains other names comes first."""
        steps: list[tuple[re.Pattern[str], Callable[[re.Match[str]], str] | str]] = []
        if names.homes:
            longest = sorted(names.homes, key=len, reverse=True)
            steps.append((re.compile(f"(?:{_any(longest)})(?![A-Za-z0-9_-])"), lambda found: self.of_homes[found[0]]))
        short = [user for user in names.users if len(user) < SHORTEST]
        if short:
            in_path = re.compile(rf"(?<=/)(?:{_any(short)})(?![A-Za-z0-9_-])")
            steps.append((in_path, lambda found: self.of_users[found[0]]))
        steps.append((_EMAIL, "someone@example.invalid"))
        prefixes = {name.rstrip("0123456789"): name for name in names.hosts}
        if ranges := [prefix for prefix, name in prefixes.items() if prefix not in ("", name)]:  # node[01-04]
            steps.append((re.compile(rf"(?<![A-Za-z0-9])(?:{_any(ranges)})\[[\d,-]+\]"), "hosts"))
        if hosts := [name for name in names.hosts if len(name) >= SHORTEST]:
            found_host = re.compile(f"(?P<host>{_word(hosts)}){_DOMAIN}", re.IGNORECASE)
            steps.append((found_host, self._qualified))
        if words := [name for name in self._words if len(name) >= SHORTEST]:
            steps.append((re.compile(_word(words)), lambda found: self._words[found[0]]))
        steps.append((_ADDRESS, self._address))
        return steps

    def _qualified(self, found: re.Match[str]) -> str:
        """Return the pseudonyms of a host and of its domain, which fields of hosts may not have (Slurm's have none)."""
        host = self._hosts[found["host"].casefold()]
        if not (domain := (found["domain"] or "").casefold()):
            return host
        if domain not in self._domains:
            taken = {*self._domains.values()}
            self._domains[domain] = next(name for number in count(1) if (name := f"domain-{number}") not in taken)
        return f"{host}.{self._domains[domain]}"

    def _address(self, found: re.Match[str]) -> str:
        return self._addresses.setdefault(found[0], f"address-{len(self._addresses) + 1}")


def _numbered(kind: str, names: Mapping[str, None], real: set[str]) -> dict[str, str]:
    """Return `host-1`, `host-2`, ... in the order of the names; no pseudonym is a real name."""
    numbers = (number for number in range(1, 2 * len(names) + len(real) + 2) if f"{kind}-{number}" not in real)
    return {name: f"{kind}-{number}" for name, number in zip(names, numbers, strict=False)}


def _any(names: list[str]) -> str:
    return "|".join(map(re.escape, names))


def _word(names: list[str]) -> str:
    """Return the pattern of names as words, the longest first: `node1` is not in `node10`."""
    return rf"(?<![A-Za-z0-9])(?:{_any(sorted(names, key=len, reverse=True))})(?![A-Za-z0-9])"
