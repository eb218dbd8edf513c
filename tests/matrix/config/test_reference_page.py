"""docs/reference/matrix-file.md says what the schema says, and its examples work."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from matrix.config.load import load_sweep
from matrix.config.schema import schema
from matrix.config.system import load_system
from matrix.planning.plan import make_plan

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "reference" / "matrix-file.md").read_text()
EXAMPLES = ROOT / "matrix" / "examples"
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


@pytest.mark.parametrize(
    ("heading", "place"),
    [
        ("The matrix file", MATRIX),
        ("`axes`", OWN_AXES),
        ("`strategies`", MATRIX["$defs"]["StrategySettings"]),
        ("`training`", MATRIX["$defs"]["Training"]),
        ("`overrides`", MATRIX["$defs"]["Override"]),
        ("`data`", MATRIX["$defs"]["Data"]),
        ("`max_batch`", MATRIX["$defs"]["MaxBatch"]),
        ("`limits`", MATRIX["$defs"]["Limits"]),
        ("`reference`", MATRIX["$defs"]["ReferenceCell"]),
        ("`wandb`", MATRIX["$defs"]["Wandb"]),
        ("Models", MATRIX["$defs"]["NamedModel"]),
        ("Models by shape", SHAPE),
        ("Rotary scaling", SHAPE["properties"]["rope_scaling"]["anyOf"][0]),
        ("The system file", SYSTEM),
        ("`xffl`", SYSTEM["$defs"]["XfflSettings"]),
        ("`slurm`", SYSTEM["$defs"]["SlurmSettings"]),
        ("`shell`", SYSTEM["$defs"]["ShellSettings"]),
        ("`image`", SYSTEM["$defs"]["ImageSettings"]),
        ("`binds`", SYSTEM["$defs"]["BindSettings"]),
    ],
)
def test_every_key_is_there_with_its_default(heading: str, place: dict[str, Any]) -> None:
    section = re.split(r"^#+ ", PAGE.split(f"# {heading}\n")[1], flags=re.MULTILINE)[0]
    assert table(place) in section, f"the table of {heading} should be:\n{table(place)}"


def examples(language: str) -> list[str]:
    return re.findall(rf"```yaml {language}\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.mark.parametrize("text", examples("matrix"))
def test_examples_of_the_page_can_be_planned(tmp_path: Path, text: str) -> None:
    for number, system in enumerate(examples("system")):
        (tmp_path / f"system{number}.yaml").write_text(system)
        assert load_system(tmp_path / f"system{number}.yaml")
    path = tmp_path / "sweep.yaml"
    path.write_text(text.replace("system: cluster.yaml", "system: system0.yaml"))
    sweep = load_sweep(path)
    assert make_plan(sweep, load_system(Path(sweep.system))).runs


def test_the_demo_shows_every_strategy_and_every_collapse() -> None:
    sweep = load_sweep(EXAMPLES / "demo.yaml")
    planned = make_plan(sweep, load_system(Path(sweep.system)))
    assert len(planned.runs) <= 22 * sweep.repeats
    assert {cell.canonical for cell in planned.plan.cells} == {"fsdp", "hsdp", "federated", "federated-hsdp"}
    assert not [cell for cell in planned.plan.cells if cell.status == "impossible"]
    layouts = {str(run.layout) for run in planned.runs.values()}
    assert "F=2 R=2 S=2" in layouts
    assert [run.cuda_streams for run in planned.runs.values()].count(2) == sweep.repeats


def test_every_key_of_the_schemas_has_a_description() -> None:
    places = [MATRIX, SYSTEM, SHAPE, *MATRIX["$defs"].values()]
    assert all("description" in value for place in places for value in place["properties"].values())


def test_the_system_file_of_the_page_on_clusters_can_be_read(tmp_path: Path) -> None:
    (text,) = re.findall(
        r"```yaml\n(name: booster\n.*?)```", (ROOT / "docs" / "guides" / "cluster.md").read_text(), re.DOTALL
    )
    (tmp_path / "booster.yaml").write_text(text)
    assert load_system(tmp_path / "booster.yaml").scheduler == "slurm"
