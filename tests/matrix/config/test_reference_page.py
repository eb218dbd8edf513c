"""docs/reference/matrix-file.md says what the schema says, and its examples work."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from matrix.config.load import load_sweep
from matrix.config.system import load_system
from matrix.planning.plan import make_plan
from tests.support.matrix_page import MATRIX, PLACES, SHAPE, SYSTEM, page, table

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "reference" / "matrix-file.md").read_text()
EXAMPLES = ROOT / "matrix" / "examples"


def test_every_key_is_there_with_its_default() -> None:
    assert page(PAGE) == PAGE, "run: python -m tests.support.matrix_page"
    assert all(table(place) in PAGE for place in PLACES.values())


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
