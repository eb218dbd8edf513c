"""Read YAML and keep the line of every key, so that faults can name it.

Differs from PyYAML in three ways: duplicate keys are refused (PyYAML silently keeps the last), `1e-3` is a number as
in YAML 1.2 (PyYAML follows 1.1, where it is text), and non-finite numbers are refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from matrix.errors import InputError

Location = tuple[int | str, ...]
"""Keys and indices from the root of a file to a value."""


class _Loader(yaml.SafeLoader):
    pass


def _finite(loader: _Loader, node: yaml.ScalarNode) -> float:
    number = loader.construct_yaml_float(node)
    if not math.isfinite(number):
        raise yaml.constructor.ConstructorError(None, None, f"{node.value} should be a finite number", node.start_mark)
    return number


_FLOAT = "tag:yaml.org,2002:float"
_Loader.add_constructor(_FLOAT, _finite)
_Loader.add_implicit_resolver(_FLOAT, re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789"))


@dataclass(frozen=True)
class YamlFile:
    """The content of a file, with the lines of its keys."""

    path: Path
    data: object
    root: yaml.Node | None

    def sentence(self, location: Location, message: str) -> str:
        """Return a fault with file, line and key: `demo.yaml:7: axes.nodes[1]: should be greater than 0, not 0`."""
        key, line = self._find(location)
        return ": ".join(part for part in (f"{self.path}:{line}", key, message) if part)

    def _find(self, location: Location) -> tuple[str, int]:
        """Return the key and line of the deepest part of a location that exists in the file.

        Steps that do not exist are skipped: the index of a scalar in place of a list, and pydantic's names for the
        members of a union.
        """
        data, node, key = self.data, self.root, ""
        line = node.start_mark.line + 1 if node else 1
        for step in location:
            if isinstance(data, dict) and step in data:
                data = data[step]
                key += f".{step}" if key else f"{step}"
            elif isinstance(data, list) and isinstance(step, int) and step < len(data):
                data = data[step]
                key += f"[{step}]"
            else:
                continue
            line, node = _descend(node, step, line)
        return key, line


def _descend(node: yaml.Node | None, step: int | str, line: int) -> tuple[int, yaml.Node | None]:
    """Return the line and node of a child; the parent's line if the child came from a merge key."""
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
        child = node.value[step]
        return child.start_mark.line + 1, child
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(step):
                return key.start_mark.line + 1, value
    return line, None


def _duplicates(node: yaml.Node, seen: set[int]) -> Iterator[str]:
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _duplicates(item, seen)
    if isinstance(node, yaml.MappingNode):
        first: dict[str, int] = {}
        for key, value in node.value:
            line, name = key.start_mark.line + 1, str(key.value)
            if name in first:
                yield f"{line}: the key {name!r} is already given on line {first[name]}: keep one of them"
            first.setdefault(name, line)
            yield from _duplicates(value, seen)


def read_yaml(path: Path) -> YamlFile:
    """Read one YAML document.

    Raises:
        InputError: the file cannot be read, is not YAML, or has a duplicate key.

    """
    try:
        loader = _Loader(path.read_text(encoding="utf-8"))
        root = loader.get_single_node()
        faults = list(_duplicates(root, set())) if root else []
        if faults:
            raise InputError("\n".join(f"{path}:{fault}" for fault in faults))
        return YamlFile(path, loader.construct_document(root) if root else None, root)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: cannot be read: it should be text in UTF-8") from error
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise InputError(f"{path}{line}: cannot be read: {error.problem}") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from error
