"""The tables of docs/reference/matrix-file.md, made of the schemas: `python -m tests.support.matrix_page`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from matrix.config.schema import schema

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "matrix-file.md"
MATRIX, SYSTEM = schema("matrix"), schema("system")
AXES = MATRIX["$defs"]["Axes"]
OWN_AXES = {
    **AXES,
    "properties": {
        name: value
        for name, value in AXES["properties"].items()
        if name not in MATRIX["$defs"]["Training"]["properties"]
    },
}
SHAPE = MATRIX["$defs"]["NamedModel"]["properties"]["llama"]["anyOf"][0]


PLACES: dict[str, dict[str, Any]] = {
    "The matrix file": MATRIX,
    "`axes`": OWN_AXES,
    "`strategies`": MATRIX["$defs"]["StrategySettings"],
    "`training`": MATRIX["$defs"]["Training"],
    "`overrides`": MATRIX["$defs"]["Override"],
    "`data`": MATRIX["$defs"]["Data"],
    "`max_batch`": MATRIX["$defs"]["MaxBatch"],
    "`limits`": MATRIX["$defs"]["Limits"],
    "`reference`": MATRIX["$defs"]["ReferenceCell"],
    "`wandb`": MATRIX["$defs"]["Wandb"],
    "Models": MATRIX["$defs"]["NamedModel"],
    "Models by shape": SHAPE,
    "Rotary scaling": SHAPE["properties"]["rope_scaling"]["anyOf"][0],
    "The system file": SYSTEM,
    "`xffl`": SYSTEM["$defs"]["XfflSettings"],
    "`slurm`": SYSTEM["$defs"]["SlurmSettings"],
    "`shell`": SYSTEM["$defs"]["ShellSettings"],
    "`image`": SYSTEM["$defs"]["ImageSettings"],
    "`binds`": SYSTEM["$defs"]["BindSettings"],
}
"""Heading of the section of each table, and the mapping whose keys it lists."""


def kind(value: dict[str, Any]) -> str:
    """A value's type in a few words."""
    if "anyOf" in value or "oneOf" in value:
        members = [kind(member) for member in value.get("anyOf") or value["oneOf"]]
        if members[0] == "array" or members[-1] == "array":
            return f"{kind(value['anyOf'][0])}, or a list of them"
        return " or ".join(dict.fromkeys(member for member in members if member != "null"))
    if "enum" in value or "const" in value:
        return " or ".join(f"`{choice}`" for choice in value.get("enum", [value.get("const")]))
    words = {"object": "mapping", "integer": "whole number", "boolean": "true or false", "string": "text"}
    if value.get("type") == "array" and "minItems" not in value:
        return f"list of {kind(value['items']).replace(' or ', 's or ')}s"
    return "mapping" if "$ref" in value else words.get(value["type"], value["type"])


def table(place: dict[str, Any]) -> str:
    """The keys of a mapping as a table in Markdown."""
    rows = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for key, value in place["properties"].items():
        default = value.get("default")
        shown = "" if default is None or isinstance(default, dict) else f"`{json.dumps(default)}`".replace('"', "")
        shown = "**required**" if key in place.get("required", []) else shown
        rows.append(f"| `{key}` | {kind(value)} | {shown} | {value['description']} |")
    return "\n".join(rows)


def page(text: str) -> str:
    """Return the page with the table of every section replaced."""
    for heading, place in PLACES.items():
        begin = text.index(f"# {heading}\n")
        end = re.search(r"^#+ ", text[begin + 2 :], re.MULTILINE)
        section = text[begin : begin + 2 + end.start()] if end else text[begin:]
        made = table(place) + "\n"
        text = text.replace(
            section,
            re.sub(r"^\| key \|.*\n(?:\|.*\n)+", lambda _, made=made: made, section, count=1, flags=re.MULTILINE),
        )
    return text


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
