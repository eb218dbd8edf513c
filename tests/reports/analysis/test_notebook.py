"""docs/guides/analysis.ipynb runs from its first cell to its last, on nights of which one has failures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.support.documents import SweepDocuments
from tests.support.reported import fill

NOTEBOOK = Path(__file__).parents[3] / "docs" / "guides" / "analysis.ipynb"


@pytest.fixture(scope="module")
def cells() -> list[dict[str, Any]]:
    notebook = json.loads(NOTEBOOK.read_text())
    assert notebook["nbformat"] == 4
    found: list[dict[str, Any]] = notebook["cells"]
    return found


def test_it_is_kept_without_outputs(cells: list[dict[str, Any]]) -> None:
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert len(code) > 5
    assert [cell["id"] for cell in code if cell["outputs"] or cell["execution_count"] is not None] == []


def test_its_cells_run(cells: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for night in ("2026-11-25", "2026-11-26"):
        sweep = SweepDocuments(tmp_path / "results" / night / "nightly", streams=(1, 2))
        fill(sweep)
        for repeat in range(3):
            sweep.steps(f"llama-tiny.federated.n2.s1.b4.r{repeat}", [[5.0, 3.0], [4.0, 2.0]], tokens=[300, 100])
        sweep.write()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    names: dict[str, Any] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), f"cell {cell['id']}", "exec"), names)
    assert {*names["runs"]["night"]} == {"2026-11-25", "2026-11-26"}
    first = "llama-tiny, batch size 4 / federated, 1 stream / 2 nodes"
    assert names["loss"].loc[first, 0, 1] == pytest.approx((3 * 300 + 2 * 100) / 400)
    assert names["trained"].loc[first, 0, 1] == 800
    assert {round(value, 12) for value in names["changes"]["2026-11-25 to 2026-11-26"]} == {0}
    assert isinstance(names["ratios"], pd.DataFrame)
    assert len(names["ratios"]) > 0
