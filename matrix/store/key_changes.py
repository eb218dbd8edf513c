"""What changed in a sweep's files since it started, key by key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from matrix.config.reading.assignments import SYSTEM, assign, parse_assignments
from matrix.config.reading.yamlfile import WrittenFloat, WrittenInt, parse_yaml
from matrix.errors import InputError, as_text

MOST = 8
"""Largest number of changed keys of a file that are listed."""


class Files(NamedTuple):
    """Contents of the matrix and the system file, and the keys set on the command line, as `KEY=VALUE`."""

    matrix: str
    system: str
    assignments: tuple[str, ...]


def key_changes(old: Files, new: Files) -> list[str]:
    """Return the changed keys with their old and new values, those of the system file as `system.KEY`.

    Comments, the order of keys and where a key is set do not count.
    """
    if old == new:
        return []
    lines = []
    for of_system, name, prefix in ((False, "the matrix file", ""), (True, "the system file", SYSTEM)):
        try:
            before, after = (dict(_leaves(_content(files, of_system=of_system), prefix)) for files in (old, new))
        except InputError:  # an earlier version accepted what is not YAML 1.2
            lines += [name] if (old.system != new.system if of_system else old.matrix != new.matrix) else []
            continue
        keys = [key for key in before | after if before.get(key) != after.get(key)]
        lines += [f"{key}: {before.get(key, 'not set')} -> {after.get(key, 'not set')}" for key in keys[:MOST]]
        lines += [f"{len(keys) - MOST} more keys of {name}"] if len(keys) > MOST else []
    return lines


def _content(files: Files, *, of_system: bool) -> object:
    text = files.system if of_system else files.matrix
    chosen = [each for each in parse_assignments(files.assignments) if each.of_system == of_system]
    return assign(parse_yaml(Path("system.yaml" if of_system else "matrix.yaml"), text), chosen).data


def _leaves(value: object, key: str, above: frozenset[int] = frozenset()) -> Iterator[tuple[str, str]]:
    """Yield the keys below a value with their values as text; a list of plain values is one."""
    if id(value) in above or (value in ({}, None) and key in ("", SYSTEM)):  # a circular alias, or an empty file
        return
    inner = above | {id(value)}
    if isinstance(value, dict) and value:
        for name, child in value.items():
            yield from _leaves(child, f"{key}{name}" if key in ("", SYSTEM) else f"{key}.{name}", inner)
    elif isinstance(value, list) and any(isinstance(child, dict | list) for child in value):
        for place, child in enumerate(value):
            yield from _leaves(child, f"{key}[{place}]", inner)
    else:
        yield key, _shown(value)


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    if isinstance(value, WrittenInt | WrittenFloat):
        return value.text
    return repr(value) if isinstance(value, str) else as_text(value)
