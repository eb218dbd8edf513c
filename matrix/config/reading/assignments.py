"""Keys of the matrix and the system file that are set on the command line: `training.steps=64`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from matrix.config.reading.yamlfile import COMMAND_LINE, Location, YamlFile, parse_value
from matrix.errors import InputError

SYSTEM = "system."
"""Prefix of the system file's keys; without it a key is of the matrix file."""

_KEY = re.compile(r"[\w-]+(?:\.[\w-]+|\[\d+\])*")
_STEP = re.compile(r"[\w-]+|\[\d+\]")


@dataclass(frozen=True)
class Assignment:
    """A value for a key; a later one of the same key replaces it.

    Attributes:
        location: of the key, in the file that it belongs to.
        prefix: what precedes this location on the command line.

    """

    location: Location
    value: object
    prefix: str

    @property
    def of_system(self) -> bool:
        """True if the key belongs to the system file."""
        return self.prefix == SYSTEM


def parse_assignments(texts: Iterable[str]) -> list[Assignment]:
    """Parse assignments such as `axes.nodes=[1,2]`, whose values are read as in a file.

    Raises:
        InputError: texts do not have this form; one sentence for each.

    """
    found, faults = [], []
    for text in texts:
        try:
            found.append(_parse(text))
        except InputError as error:
            faults.append(str(error))
    if faults:
        raise InputError("\n".join(faults))
    return found


def _parse(text: str) -> Assignment:
    key, equals, value = text.partition("=")
    if not equals or not _KEY.fullmatch(key):
        raise InputError(f"{COMMAND_LINE}: {text!r} should have the form KEY=VALUE, for example training.steps=64")
    steps: list[int | str] = [int(step[1:-1]) if step[0] == "[" else step for step in _STEP.findall(key)]
    of_system = key.startswith(SYSTEM)
    return Assignment(
        tuple(steps[of_system:]), parse_value(f"{COMMAND_LINE}: {key}", value), SYSTEM if of_system else ""
    )


def assign(file: YamlFile, assignments: Iterable[Assignment]) -> YamlFile:
    """Return the file with the assigned values, of which faults name the command line.

    Raises:
        InputError: a key is not in a mapping, or an index not in its list; one sentence for each.

    """
    faults, assigned = [], dict(file.assigned)
    data = file.data
    for each in assignments:
        try:
            data = _with(data, each.location, each.value)
        except LookupError as error:
            faults.append(f"{COMMAND_LINE}: {each.prefix}{_text(each.location)}: {error.args[0]}")
        for length in range(1, len(each.location) + 1):
            part = each.location[:length]
            if length == len(each.location) or not _has(file.data, part):
                assigned[part] = each.prefix
    if faults:
        raise InputError("\n".join(faults))
    return replace(file, data=data, assigned=assigned)


def _with(data: object, location: Location, value: object) -> object:
    """Return a copy with another value at a location. What is not on the way is shared: it may have aliases."""
    if not location:
        return value
    step, rest = location[0], location[1:]
    if isinstance(step, int):
        if not isinstance(data, list) or step >= len(data):
            size = f"has {len(data)} values, counted from 0" if isinstance(data, list) else "is not a list"
            raise LookupError(f"[{step}] does not exist: the value {size}")
        return [*data[:step], _with(data[step], rest, value), *data[step + 1 :]]
    known: dict[Any, object] | None = data if isinstance(data, dict) else {} if data is None else None
    if known is None:
        raise LookupError(f"{step!r} does not exist: the value above it is not a mapping")
    return {**known, step: _with(known.get(step), rest, value)}


def _has(data: object, location: Location) -> bool:
    for step in location:
        if not isinstance(data, dict) or step not in data:
            return isinstance(data, list)
        data = data[step]
    return True


def _text(location: Location) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in location).lstrip(".")
