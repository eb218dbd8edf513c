"""docs/concepts/answering.md quotes a real report: the one that is written of the same results today."""

from __future__ import annotations

import json
import re
from pathlib import Path

from matrix.config.load import load_sweep
from matrix.config.system import load_system
from matrix.planning.plan import make_plan
from reports.render import markdown
from reports.render.write import write_report
from tests.support.earlier import extract

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "concepts" / "answering.md").read_text(encoding="utf-8")
ARCHIVE = ROOT / "tests" / "fixtures" / "three-ways.tar.gz"


def unpacked(folder: Path) -> Path:
    extract(ARCHIVE, folder)
    return folder / "three-ways"


def quoted() -> list[str]:
    """The sentences of the page's first quotation, without its line breaks; the second is of a virtual cluster."""
    first = PAGE.partition("On the virtual Slurm cluster")[0]
    lines = [line.removeprefix("> ") for line in first.splitlines() if line.startswith("> ")]
    return [" ".join(sentence.split()) for sentence in "\n".join(lines).split("- ", 1)[1].split("\n- ")]


def test_the_quoted_answer_is_that_of_the_report(tmp_path: Path) -> None:
    text = write_report(unpacked(tmp_path), tmp_path / "report", [markdown]).report.read_text(encoding="utf-8")
    (section,) = [part for part in text.split("\n## ") if part.startswith("What was found")]
    assert quoted() == [line.removeprefix("- ") for line in section.splitlines() if line.startswith("- ")]


def test_the_matrix_file_beside_it_is_that_of_the_results(tmp_path: Path) -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
    (system,) = re.findall(r"two-nodes.yaml # \{(.*)\}\n", text)
    (tmp_path / "two-nodes.yaml").write_text(system.replace(", ", "\n"))
    (tmp_path / "three-ways.yaml").write_text(text)
    sweep = load_sweep(tmp_path / "three-ways.yaml")
    planned = make_plan(sweep, load_system(Path(sweep.system))).plan
    before = json.loads((unpacked(tmp_path) / "plan.json").read_text(encoding="utf-8"))
    assert (planned.axes, planned.repeats) == (before["axes"], before["repeats"])
    assert [str(cell.layout) for cell in planned.cells] == [
        f"F={layout['federation']} R={layout['replicate']} S={layout['shard']}"
        for layout in (cell["layout"] for cell in before["cells"])
    ]
