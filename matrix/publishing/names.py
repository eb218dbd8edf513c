"""The names in a sweep that say whose it is: of hosts, users, accounts and home folders."""

from __future__ import annotations

import getpass
import json
import pwd
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from matrix.config.reading.yamlfile import parse_yaml
from matrix.store.sweep_folder import SweepFolder

IMPERSONAL = {"root", "nobody", "localhost", "ip6-localhost", ""}
"""Names that every machine has."""

_HOME = re.compile(r"/(?:home|Users)/(?P<user>[A-Za-z0-9_][A-Za-z0-9_.-]*)")
_ACCOUNT = re.compile(r"(?:\baccount\s*[=:]|--account |(?<![\w-])-A ?)\s*['\"]?(?P<account>[A-Za-z0-9][\w.-]*)")
HOST_FIELDS = {"host", "hosts"}
"""Fields of documents that hold names of hosts and nothing else."""
_ACCOUNT_FIELDS = {"account", "entity"}


@dataclass
class Names:
    """What pseudonyms replace, in the order in which it was found."""

    hosts: dict[str, None] = field(default_factory=dict)
    domains: dict[str, None] = field(default_factory=dict)
    """Of hosts with qualified names."""
    users: dict[str, None] = field(default_factory=dict)
    accounts: dict[str, None] = field(default_factory=dict)
    homes: dict[str, None] = field(default_factory=dict)
    """Home folders beyond those of the form /home/NAME."""

    def add_host(self, name: str) -> None:
        """Add a host by the first part of its name, and its domain."""
        if re.fullmatch(r"[\d.:]+", name):
            if not name.startswith("127."):
                self.hosts.setdefault(name)
            return
        first, _, domain = name.partition(".")
        if first not in IMPERSONAL:
            self.hosts.setdefault(first)
        if domain not in {*IMPERSONAL, "localdomain"}:
            self.domains.setdefault(domain)

    def add_user(self, name: str, home: str | None = None) -> None:
        """Add a user, if a person may be meant, and the home folder."""
        if name not in IMPERSONAL:
            self.users.setdefault(name)
        if home is not None:
            self.add_home(home)

    def add_home(self, home: str) -> None:
        """Add a home folder that does not have its user's name."""
        if home != "/" and not _HOME.fullmatch(home):
            self.homes.setdefault(home)


def names_of(sweep: SweepFolder) -> Names:
    """Return the names in a sweep's documents, and those of this machine and of the owner of the folder."""
    found = Names()
    for document in sorted(sweep.path.rglob("*.json")):
        _of_values(_read(document), found)
    for file in ("matrix.yaml", "system.yaml"):
        path = sweep.path / file
        if path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")
            _of_values([text, parse_yaml(path, text).data], found)
    found.add_host(socket.gethostname())
    _of_users(sweep, found)
    return found


def _read(path: Path) -> object:
    """Return the content of a document; None if it is damaged, which the report names."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _of_users(sweep: SweepFolder, found: Names) -> None:
    # A container may run as a user that has no name there, and no home.
    with suppress(RuntimeError):
        found.add_home(str(Path.home()))
    with suppress(KeyError, OSError):  # the latter from Python 3.13 on
        found.add_user(getpass.getuser())
    try:
        owner = pwd.getpwuid(sweep.path.stat().st_uid)
    except KeyError:  # of another machine, or of a container without users
        return
    found.add_user(owner.pw_name, owner.pw_dir)


def _of_values(value: object, found: Names, field: str = "") -> None:
    """Add the names in a document, whose fields say what they are; users also by the paths of their homes."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if field == "switches":
                found.add_host(str(key))
            _of_values(inner, found, str(key))
    elif isinstance(value, list):
        for inner in value:
            _of_values(inner, found, field)
    elif isinstance(value, str):
        if field in HOST_FIELDS:
            for name in _host_names(value):
                found.add_host(name)
        elif field in _ACCOUNT_FIELDS:
            found.accounts.setdefault(value)
        for match in _HOME.finditer(value):
            found.add_user(match["user"])
        for match in _ACCOUNT.finditer(value):
            found.accounts.setdefault(match["account"])


def _host_names(text: str) -> Iterator[str]:
    yield from (name for name in re.split(r"[,\s]+", text.strip()) if name)
