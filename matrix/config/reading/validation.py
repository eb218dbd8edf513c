"""Validate a YAML file against a schema and report all faults at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from matrix.config.reading.yamlfile import Location, WrittenFloat, WrittenInt, YamlFile
from matrix.errors import InputError, as_text, closest, suggestion

Model = TypeVar("Model", bound=BaseModel)
Fault = tuple[Location, str]
"""The location of a fault, and a message that says what would be valid."""

Schema = dict[str, Any]

_BLOCKS = ("training", "axes", "limits", "slurm", "xffl")
"""Blocks whose keys are often given outside of them, in the order in which they are searched."""


def validate(model: type[Model], file: YamlFile) -> Model:
    """Return the file's content as a `model`; types are not coerced, so that `nodes: true` is not one node.

    Raises:
        InputError: the content is invalid; one sentence per invalid key.

    """
    try:
        return model.model_validate(file.data, strict=True)
    except ValidationError as error:
        schema = model.model_json_schema()
        sentences: dict[str, str] = {}
        for details in error.errors():
            location, is_missing = details["loc"], details["type"] == "missing"
            # A value that matches no member of a union gives one fault per member: only the first is reported.
            key = str(location) if is_missing else file.sentence(location, "")
            sentences.setdefault(key, file.sentence(location, _message(details, schema)))
        raise InputError("\n".join(sentences.values())) from None


def refuse(file: YamlFile, faults: Iterable[Fault]) -> None:
    """Raise an InputError with all faults, if there are any."""
    sentences = [file.sentence(location, message) for location, message in faults]
    if sentences:
        raise InputError("\n".join(sentences))


def refuse_another_kind(file: YamlFile, wanted: type[BaseModel], other: type[BaseModel], meant: str) -> None:
    """Raise an InputError, in place of one fault per key, if more keys are those of the other kind of file only."""
    keys = set(file.data) if isinstance(file.data, dict) else set()
    own, others = keys & set(wanted.model_fields), keys & set(other.model_fields)
    if len(others - own) > len(own - others):
        raise InputError(f"{file.path}: is {meant}")


def _message(error: ErrorDetails, schema: Schema) -> str:
    kind, location, shown = error["type"], error["loc"], _shown(error["input"])
    if kind == "extra_forbidden":
        return f"is not a known key{_meant(schema, location)}"
    if kind == "value_error":
        return error["msg"].removeprefix("Value error, ")
    own = {
        "missing": f"the key {location[-1]!r} is missing" if location else "",
        "invalid_key": f"the key {shown} should be text",
        "model_type": f"should be a mapping, not {shown}",
        "dict_type": f"should be a mapping, not {shown}",
        "string_type": f"should be text, not {shown}{_quoted(error['input'])}",
        "int_type": f"should be a whole number, not {shown}",
        "too_short": "should have at least one value",
        "string_pattern_mismatch": f"should be letters, digits and any of . _ + - (60 at most), not {shown}",
    }
    general = error["msg"].replace("Input should be", "should be").replace("a valid ", "a ")
    return own.get(kind, f"{general}, not {shown}")


def _meant(schema: Schema, location: Location) -> str:
    """Return the suggestion for an unknown key: one of its neighbours, else a key of this name in another block."""
    key, neighbours = location[-1], _keys_at(schema, location[:-1])
    if closest(key, neighbours) is None:
        blocks = [block for block in _BLOCKS if block in schema.get("properties", {}) and block != location[0]]
        found = [(block, meant) for block in blocks if (meant := closest(key, _keys_at(schema, (block,)))) is not None]
        if found:
            block, meant = max(found, key=lambda each: SequenceMatcher(None, each[1], as_text(key)).ratio())
            return f" (did you mean '{block}.{meant}'?)"
    return suggestion(key, neighbours)


def _shown(value: object) -> str:
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    if isinstance(value, WrittenInt | WrittenFloat):
        return value.text
    return repr(value) if isinstance(value, str) else as_text(value)


def _quoted(value: object) -> str:
    """Return the remedy for a value that was not meant as the number or truth value that it is read as."""
    return f": put it in quotes, as '{_shown(value)}'" if isinstance(value, int | float) else ""


def _keys_at(schema: Schema, location: Location) -> list[str]:
    """Return the keys that the schema defines at a location."""
    places = list(_resolved(schema, schema))
    for step in location:
        # A step without a schema of its own is the name of a union's member: keep the current ones.
        places = [child for place in places for child in _children(schema, place, step)] or places
    return sorted({key for place in places for key in place.get("properties", {})})


def _children(schema: Schema, place: Schema, step: int | str) -> Iterator[Schema]:
    child = place.get("items") if isinstance(step, int) else place.get("properties", {}).get(step)
    child = child or (isinstance(step, str) and place.get("additionalProperties")) or None
    if child:
        yield from _resolved(schema, child)


def _resolved(schema: Schema, place: Schema) -> Iterator[Schema]:
    """Yield the schemas that a reference or a union stands for."""
    if "$ref" in place:
        yield from _resolved(schema, schema["$defs"][place["$ref"].rsplit("/", 1)[1]])
    elif "anyOf" in place or "oneOf" in place:
        for member in place.get("anyOf") or place["oneOf"]:
            yield from _resolved(schema, member)
    else:
        yield place
