"""Read YAML and keep the line of every key, so that faults can name it.

The reading is that of YAML 1.2's core schema (yaml.org/spec/1.2.2, section 10.3.2), where PyYAML follows 1.1: `no` and
`1:30` are text and `1e-3` is a number. Two rules differ from it. A number with a leading zero is text, because 1.1 read
it as octal and 1.2 does not; and numbers that are not finite are refused. So are duplicate keys, of which PyYAML keeps
the last. Merge keys (`<<`) are read as in 1.1.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from matrix.errors import InputError

Location = tuple[int | str, ...]
"""Keys and indices from the root of a file to a value."""

COMMAND_LINE = "command line"
"""The place of a value that is set there."""

LARGEST = 16 * 2**20
"""Bytes of the largest file that is read."""


class WrittenInt(int):
    """A whole number with the text that it was written as."""

    text: str


class WrittenFloat(float):
    """A number with the text that it was written as: `3.10` may be a version."""

    text: str


_CORE = ("null", "bool", "int", "float", "str", "seq", "map", "merge")
"""Types of the core schema, and merge keys; PyYAML's others (dates, sets, ...) are refused."""


class _Loader(yaml.SafeLoader):
    yaml_constructors = {  # noqa: RUF012 - as PyYAML declares it
        tag: constructor
        for tag, constructor in yaml.SafeLoader.yaml_constructors.items()
        if tag is None or tag.rpartition(":")[2] in _CORE
    }
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - as PyYAML declares it


def _resolve(kind: str, pattern: str, first: Iterable[str]) -> None:
    """Give plain scalars of a form a type; `first` are the characters that they can begin with, "" for none."""
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{kind}", re.compile(rf"(?:{pattern})\Z"), list(first))


_resolve("null", "~|null|Null|NULL|", ["~", "n", "N", ""])
_resolve("bool", "true|True|TRUE|false|False|FALSE", "tTfF")
_resolve("int", "[-+]?(?:0|[1-9][0-9]*)|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789")
_resolve(
    "float",
    r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
    "-+.0123456789",
)
_resolve("merge", "<<", "<")


def _int(loader: _Loader, node: yaml.ScalarNode) -> int:
    text = loader.construct_scalar(node)
    number = WrittenInt(_number(node, lambda: int(text, 8 if "o" in text[:2] else 16 if "x" in text[:2] else 10)))
    number.text = text
    return number


def _float(loader: _Loader, node: yaml.ScalarNode) -> float:
    text = loader.construct_scalar(node)
    number = WrittenFloat(_number(node, lambda: float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))))
    if not math.isfinite(number):
        raise yaml.constructor.ConstructorError(None, None, f"{text} should be a finite number", node.start_mark)
    number.text = text
    return number


def _number(node: yaml.ScalarNode, read: Callable[[], float]) -> float:
    try:
        return read()
    except ValueError as error:  # an explicit tag before something else, or thousands of digits
        shown = node.value if len(node.value) <= 40 else f"{node.value[:40]}..."
        raise yaml.constructor.ConstructorError(None, None, f"{shown!r} should be a number", node.start_mark) from error


def _bool(loader: _Loader, node: yaml.ScalarNode) -> bool:
    text = loader.construct_scalar(node)
    if text.lower() not in ("true", "false"):
        raise yaml.constructor.ConstructorError(None, None, f"{text!r} should be true or false", node.start_mark)
    return text.lower() == "true"


def _str(loader: _Loader, node: yaml.ScalarNode) -> str:
    text = loader.construct_scalar(node)
    if re.search(r"[\0\ud800-\udfff]", text):
        raise yaml.constructor.ConstructorError(
            None, None, f"{text!r} has a character that no file or variable can hold", node.start_mark
        )
    return text


_Loader.add_constructor("tag:yaml.org,2002:bool", _bool)
_Loader.add_constructor("tag:yaml.org,2002:str", _str)
_Loader.add_constructor("tag:yaml.org,2002:int", _int)
_Loader.add_constructor("tag:yaml.org,2002:float", _float)


@dataclass(frozen=True)
class YamlFile:
    """The content of a file, with the lines of its keys.

    Attributes:
        text: content of the file as it was read.
        assigned: locations in `data` whose values are from the command line, with the prefix of their keys there.

    """

    path: Path
    text: str
    data: object
    root: yaml.Node | None
    assigned: Mapping[Location, str] = field(default_factory=dict)

    def sentence(self, location: Location, message: str) -> str:
        """Return a fault with file, line and key: `demo.yaml:7: axes.nodes[1]: should be greater than 0, not 0`."""
        key, place = self._find(location)
        return ": ".join(part for part in (place, key, message) if part)

    def _find(self, location: Location) -> tuple[str, str]:
        """Return the key of the deepest part of a location that exists in the file, and where it is given.

        Steps that do not exist are skipped: the index of a scalar in place of a list, and pydantic's names for the
        members of a union.
        """
        data, node, key = self.data, self.root, ""
        line = node.start_mark.line + 1 if node else 1
        prefix: str | None = None
        found: Location = ()
        for step in location:
            if isinstance(data, dict) and step in data:
                data = data[step]
                key += f".{step}" if key else f"{step}"
            elif isinstance(data, list) and isinstance(step, int) and step < len(data):
                data = data[step]
                key += f"[{step}]"
            else:
                continue
            found = (*found, step)
            prefix = self.assigned.get(found, prefix)
            line, node = _descend(node, step, line) if prefix is None else (line, None)
        return (key, f"{self.path}:{line}") if prefix is None else (prefix + key, COMMAND_LINE)


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


def _duplicates(node: yaml.Node, seen: set[int]) -> Iterator[tuple[int, str]]:
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
            if name in first and key.tag.endswith(":merge"):
                yield line, f"a second '<<' after that on line {first[name]}: write one, as `<<: [*first, *second]`"
            elif name in first:
                yield line, f"the key {name!r} is already given on line {first[name]}: keep one of them"
            first.setdefault(name, line)
            yield from _duplicates(value, seen)


class _NotYamlError(Exception):
    """A text is not one YAML document: sentences, each with the line that it is about, None for the whole text."""

    def __init__(self, *sentences: tuple[int | None, str]) -> None:
        self.sentences = sentences


def read_yaml(path: Path) -> YamlFile:
    """Read one YAML document.

    Raises:
        InputError: the file cannot be read, is not YAML, or has a duplicate key.

    """
    try:
        return parse_yaml(path, _text(path))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: cannot be read: it should be text in UTF-8") from error


def parse_yaml(path: Path, text: str) -> YamlFile:
    """Parse the content of a file. Raises InputError as `read_yaml`."""
    try:
        return YamlFile(path, text, *_parsed(text))
    except _NotYamlError as error:
        places = ((f"{path}:{line}" if line else f"{path}", sentence) for line, sentence in error.sentences)
        raise InputError("\n".join(f"{place}: {sentence}" for place, sentence in places)) from error


def parse_value(place: str, text: str) -> object:
    """Parse a value as in a file; in a message of the InputError that it raises, `place` says where it is given."""
    try:
        return _parsed(text)[0]
    except _NotYamlError as error:
        raise InputError("\n".join(f"{place}: {sentence}" for _, sentence in error.sentences)) from error


def _parsed(text: str) -> tuple[object, yaml.Node | None]:
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if root and (faults := list(_duplicates(root, set()))):
            raise _NotYamlError(*faults)
        return loader.construct_document(root) if root else None, root
    except RecursionError as error:
        raise _NotYamlError((None, "cannot be read: it is nested too deeply")) from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise _NotYamlError((line, f"cannot be read: {error.problem}")) from error
    except yaml.YAMLError as error:
        raise _NotYamlError((None, f"cannot be read: {str(error).splitlines()[0]}")) from error


def _text(path: Path) -> str:
    """Return a file's content; it is read once, since a pipe has it only once."""
    with path.open("rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise InputError(f"{path}: cannot be read: it has more than {LARGEST // 2**20} MiB")
    return content.decode("utf-8")
