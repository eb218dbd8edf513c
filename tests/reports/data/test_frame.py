from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from bench.contract.results.outcomes import Outcome
from reports.data.faults import ReportError
from reports.data.frame import load
from tests.support.documents import SweepDocuments, a_measurement


def test_one_row_a_planned_run_with_units_and_failed_and_pending_ones(sweep: SweepDocuments) -> None:
    ids = sweep.run("fsdp", 2, speeds=[8000.0])
    sweep.end(ids[1], Outcome.OOM, "CUDA out of memory")
    frame = load(sweep.write()).frame.set_index("run")
    assert list(frame.index) == ids
    assert list(frame["outcome"]) == ["completed", "oom", "not-run"]
    assert frame.loc[ids[1], "reason"] == "CUDA out of memory"
    first = frame.loc[ids[0]]
    assert first["axis.strategy"] == "fsdp"
    assert (first["world"], first["federation"], first["replicate"], first["shard"]) == (8, 1, 1, 8)
    assert first["tokens_per_s"] == pytest.approx(8000)
    assert first["tokens_per_s_per_device"] == pytest.approx(1000)
    assert first["state_gib"] == 1 / 1024
    assert first["peak_memory_gib"] == 5
    assert frame["tokens_per_s"].isna().tolist() == [False, True, True]


def test_a_run_that_stands_for_two_cells_has_one_row(sweep: SweepDocuments) -> None:
    ids = sweep.run("fsdp", 1, speeds=[100.0] * 3)
    sweep.same("hsdp", 1, "fsdp")
    assert list(load(sweep.write()).frame["run"]) == ids


def test_whole_numbers_stay_whole_where_a_run_has_none(sweep: SweepDocuments) -> None:
    ids = sweep.run("fsdp", 1, speeds=[100.0])
    frame = load(sweep.write()).frame.set_index("run")
    assert frame["window_steps"].dtype == pd.Int64Dtype()
    assert frame.loc[ids[0], "window_steps"] == 16


@pytest.mark.parametrize(
    ("file", "damage", "named"),
    [
        ("result", lambda text: text[: len(text) // 2], "Invalid JSON"),
        ("result", lambda text: text.replace('"seconds"', '"secs"'), "seconds"),
        ("result", lambda _: "", "Invalid JSON"),
        ("run", lambda text: text.replace('"nodes": 1', '"nodes": "one"'), "nodes"),
    ],
)
def test_a_damaged_file_is_named_and_the_rest_is_read(
    sweep: SweepDocuments, file: str, damage: Callable[[str], str], named: str
) -> None:
    ids = sweep.run("fsdp", 1, speeds=[100.0] * 3)
    path = getattr(sweep.folder(ids[1]), file)
    path.write_text(damage(path.read_text()))
    read = load(sweep.write())
    assert list(read.frame["outcome"]) == ["completed", "damaged", "completed"]
    assert len(read.problems) == 1
    assert str(path) in read.problems[0]
    assert named in read.problems[0]


@pytest.mark.parametrize("file", ["result", "run"])
def test_a_document_of_a_newer_version_is_named_and_its_run_left_out(sweep: SweepDocuments, file: str) -> None:
    ids = sweep.run("fsdp", 1, speeds=[100.0] * 3)
    path = getattr(sweep.folder(ids[1]), file)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 2, "colour": "blue"}))
    read = load(sweep.write())
    assert list(read.frame["outcome"]) == ["completed", "newer-version", "completed"]
    assert ids[1] not in read.results
    sentence = f"{path}: written by a newer xffl-bench (version 2, this one reads 1): use that xffl-bench"
    assert read.problems == [sentence]


def test_a_plan_of_a_newer_version_gives_one_sentence(sweep: SweepDocuments) -> None:
    path = sweep.write() / "plan.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 2, "colour": "blue"}))
    with pytest.raises(ReportError, match=r"plan\.json: written by a newer xffl-bench \(version 2"):
        load(sweep.path)


def test_a_diverged_run_is_read_although_its_loss_is_no_number(sweep: SweepDocuments) -> None:
    ids = sweep.run("fsdp", 1)
    measured = a_measurement(100.0, 1, final=float("nan"), validation=float("inf"))
    sweep.end(ids[0], Outcome.DIVERGED, "the loss of step 3 was nan", measured)
    row = load(sweep.write()).frame.set_index("run").loc[ids[0]]
    assert row["outcome"] == "diverged"
    assert row["perplexity"] == float("inf")


def test_a_folder_that_is_no_sweep_gives_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match=r"plan\.json does not exist: give the folder of a sweep"):
        load(tmp_path)


def test_a_damaged_plan_gives_one_sentence(sweep: SweepDocuments) -> None:
    path = sweep.write() / "plan.json"
    path.write_text(path.read_text()[:40])
    with pytest.raises(ReportError, match=r"plan\.json: Invalid JSON"):
        load(sweep.path)


@pytest.mark.parametrize("label", ["", True, 1.5])
def test_a_plan_with_a_label_unlike_those_of_its_axis_gives_one_sentence(
    sweep: SweepDocuments, label: str | float | bool
) -> None:
    sweep.run("fsdp", 1)
    path = sweep.write() / "plan.json"
    plan = json.loads(path.read_text())
    plan["cells"][0]["labels"]["nodes"] = label
    path.write_text(json.dumps(plan))
    with pytest.raises(ReportError, match=r"plan\.json: cells\.labels\.nodes: .* is not like a label of this axis"):
        load(sweep.path)
