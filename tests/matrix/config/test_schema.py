"""The exported schemas, by a validator that is not ours: what the program accepts, they accept."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from matrix.config.reading.yamlfile import parse_yaml, read_yaml
from matrix.config.schema import schema
from matrix.config.sweep import MatrixFile
from matrix.config.system import SystemFile
from matrix.errors import InputError
from matrix.nightly.nightly_file import NightlyFile
from tests.support.fuzz import places_of

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "matrix" / "examples").glob("*.yaml"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCKS = [
    pytest.param(block, id=f"{page.stem}-{number}")
    for page in PAGES
    for number, block in enumerate(re.findall(r"^```yaml\b.*?\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE))
]
SCHEMAS = {"matrix": schema("matrix"), "system": schema("system")}
MODELS = {"matrix": MatrixFile, "system": SystemFile}
VALIDATORS = {kind: Draft202012Validator(found) for kind, found in SCHEMAS.items()}
VALUES: list[Any] = [
    1, 2, 4, 8, 0, 0.5, 1.5, 1e-3, "1", "x", "fsdp", "llama-tiny", "native", "node", "2 nodes", "02 nodes", True, None,
    {}, [], [1], [1, 2], ["fsdp"], ["fsdp", "hsdp"], {"a": "b"}, {"a": 1},
]  # fmt: skip
"""Of every kind of value, with some that keys take."""


def kind_of(data: Any) -> str:
    return "matrix" if "axes" in data else "system"


def refusals(kind: str, data: Any) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in VALIDATORS[kind].iter_errors(data)]


@pytest.mark.parametrize("kind", SCHEMAS)
def test_a_schema_is_one(kind: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[kind])


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_examples(file: Path) -> None:
    data = read_yaml(file).data
    assert not refusals(kind_of(data), data)


@pytest.mark.parametrize("block", BLOCKS)
def test_yaml_of_the_documentation(block: str) -> None:
    """A block that is a part of a file is checked key by key."""
    data = parse_yaml(Path("page.yaml"), block).data
    assert isinstance(data, dict)
    if {"matrix", "tell"} <= data.keys():
        NightlyFile.model_validate(data)
        return
    if {"name", "axes", "data"} <= data.keys() or {"name", "device", "nodes"} <= data.keys():
        assert not refusals(kind_of(data), data)
        return
    (found,) = (found for found in SCHEMAS.values() if data.keys() <= found["properties"].keys())
    for key, value in data.items():
        keys = {"$defs": found["$defs"], **found["properties"][key]}
        if key == "axes":  # a part of them
            keys = {"$defs": found["$defs"], **found["$defs"]["SomeAxes"]}
        assert not list(Draft202012Validator(keys).iter_errors(value)), key


def test_what_the_program_accepts() -> None:
    """Of changed examples, about half of which the program accepts."""
    random = Random(0)
    answers: Counter[tuple[bool, bool]] = Counter()
    examples = [json.dumps(read_yaml(file).data) for file in EXAMPLES]
    for _ in range(800):
        data = json.loads(random.choice(examples))
        kind = kind_of(data)
        holder, key = random.choice(list(places_of(data)))
        match random.randrange(4):
            case 0 if isinstance(holder, dict):
                del holder[key]
            case 1:
                holder[key] = [holder[key]]
            case _:
                holder[key] = random.choice(VALUES)
        text = json.dumps(data)
        try:
            data = parse_yaml(Path("changed.yaml"), text).data
            MODELS[kind].model_validate(data, strict=True)
            accepted = True
        except (InputError, ValidationError):
            accepted = False
        refused = refusals(kind, data)
        assert not (accepted and refused), f"{text}\n{refused}"
        answers[accepted, not refused] += 1
    assert answers[True, True] > 100
    assert answers[False, False] > 100
    assert answers[False, True] < 40, "rules between keys, which a schema does not have"
