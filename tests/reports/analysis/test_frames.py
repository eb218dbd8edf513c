"""`reports.load` and its kin: tidy frames of several nights."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from shutil import copytree

import pandas as pd
import pytest

import reports
from reports.data.faults import ReportError
from tests.support.documents import SweepDocuments
from tests.support.reported import fill

KEY = ["folder", "combination", "repeat"]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two nights, of which the second measured nothing, and a folder that is no sweep."""
    folder = tmp_path_factory.mktemp("results")
    for night in ("2026-11-25", "2026-11-26"):
        sweep = SweepDocuments(folder / night / "nightly", streams=(1, 2))
        if night == "2026-11-25":
            fill(sweep)
            for repeat in range(3):
                sweep.steps(f"llama-tiny.fsdp.n1.s1.b4.r{repeat}", [[5.0, 3.0]], tokens=[400])
        else:
            sweep.run("fsdp", 1)
        sweep.write()
    (folder / "other" / "nightly").mkdir(parents=True)
    return folder


@pytest.fixture(scope="module")
def frame(results: Path) -> pd.DataFrame:
    return reports.load(f"{results}/*/nightly")


def test_nights_are_dates_and_rows_have_a_key(frame: pd.DataFrame) -> None:
    counts = frame.groupby("night")["sweep"].agg(["size", "nunique"])
    assert [*counts.index] == ["2026-11-25", "2026-11-26"]
    assert [*counts["nunique"]] == [1, 1]
    assert frame.set_index(KEY).index.is_unique


def test_query_takes_every_column(frame: pd.DataFrame) -> None:
    assert [name for name in frame.columns if not name.isidentifier()] == []
    fast = frame.query("axis_strategy == 'federated' and axis_cuda_streams == 2 and tokens_per_s > 2000")
    assert len(fast) == 3


def test_a_naive_pivot_mixes_no_streams_and_keeps_equal_combinations(frame: pd.DataFrame) -> None:
    pivot = frame.query("night == '2026-11-25'").pivot_table(
        values="tokens_per_s", index="strategy", columns="nodes", aggfunc=["mean", "size"]
    )
    assert pivot["mean"].loc["federated, 1 stream", 2] == pytest.approx(2250)
    assert pivot["mean"].loc["federated, 2 streams", 2] == pytest.approx(2550)
    assert pivot["mean"].loc["hsdp", 1] == pivot["mean"].loc["fsdp", 1] == pytest.approx(1050)
    assert pivot["size"].loc["fsdp", 1] == 3, "both numbers of streams have the same runs"
    assert {*pivot.index} == {"fsdp", "hsdp", "federated, 1 stream", "federated, 2 streams"}
    assert {*frame.query("same_as == 'fsdp'")["axis_strategy"]} == {"hsdp"}


def test_types_and_units_do_not_depend_on_what_is_there(results: Path, frame: pd.DataFrame) -> None:
    empty = reports.load(results / "2026-11-26" / "nightly")
    assert empty["tokens_per_s"].isna().all()
    pd.testing.assert_series_equal(empty.dtypes, frame.dtypes)
    assert frame.attrs["units"]["tokens_per_s"] == "tokens/s"
    assert frame.attrs["units"]["peak_memory_gib"] == "GiB"
    assert {*frame.attrs["meanings"]} == {*frame.columns}
    assert all(frame.attrs["meanings"].values())


def test_a_night_without_a_date_in_its_path_is_that_of_its_first_run(tmp_path: Path) -> None:
    sweep = SweepDocuments(tmp_path / "sweep")
    sweep.run("fsdp", 1, speeds=[1000.0])
    assert {*reports.load(sweep.write())["night"]} == {"2030-01-02"}


def test_steps_are_of_all_runs_that_have_them(results: Path) -> None:
    steps = reports.steps(f"{results}/*/nightly")
    assert {*steps["strategy"]} == {"fsdp", "hsdp"}, "hsdp on one node shows fsdp's"
    assert steps.set_index([*KEY, "step", "group"]).index.is_unique
    assert steps.query("strategy == 'fsdp' and step == 1")["loss"].tolist() == [3.0] * 3
    without = reports.steps(results / "2026-11-26" / "nightly")
    assert len(without) == 0
    assert [*without.columns] == [*steps.columns]


def test_the_scaling_table_is_that_of_the_report(results: Path) -> None:
    table = reports.scaling_table(f"{results}/*/nightly", metric="tokens_per_s")
    assert table.set_index(["folder", "combination", "metric"]).index.is_unique
    by_cell = table.query("night == '2026-11-25'").set_index(["strategy", "nodes"])
    assert by_cell.loc[("fsdp", 1), "value"] == pytest.approx((1000 * 1100 * 1050) ** (1 / 3))
    assert by_cell.loc[("hsdp", 1), "same_as"] == "fsdp"
    assert by_cell.loc[("federated, 1 stream", 1), "outcome"] == "impossible"
    assert {*table["unit"]} == {"tokens/s"}
    assert len(reports.scaling_table(f"{results}/*/nightly")) > 10 * len(table)


def test_every_frame_says_what_its_columns_mean_and_which_files_are_damaged(results: Path, tmp_path: Path) -> None:
    copytree(results / "2026-11-25", tmp_path / "2026-11-25")
    damaged = tmp_path / "2026-11-25" / "nightly" / "runs" / "llama-tiny.hsdp.n2.s1.b4.r0" / "result.json"
    damaged.write_text("{")
    nights = tmp_path / "*" / "nightly"
    runs, steps, table = reports.load(nights), reports.steps(nights), reports.scaling_table(nights)
    assert [str(damaged) in problem for problem in runs.attrs["problems"]] == [True]
    for frame in (steps, table):
        assert frame.attrs["problems"] == runs.attrs["problems"]
        assert {*frame.attrs["meanings"]} == {*frame.columns}
        assert all(frame.attrs["meanings"].values())
        same = {*frame.attrs["units"]} & {*runs.attrs["units"]}
        assert {name: frame.attrs["units"][name] for name in same} == {name: runs.attrs["units"][name] for name in same}
    numbers = {"nodes": "1", "repeat": "1", "step": "1", "group": "1"}
    assert steps.attrs["units"] == {"seconds": "s", "tokens": "token", "loss": "nat/token"} | numbers
    assert table.attrs["units"] == {"nodes": "1", "cuda_streams": "1", "count": "1", "pair_gap_s": "s"}
    assert reports.steps(results / "2026-11-26" / "nightly").attrs["units"] == steps.attrs["units"], "without a step"


def test_faults_are_sentences(results: Path) -> None:
    with pytest.raises(ReportError, match="matches no sweep"):
        reports.load(f"{results}/*/weekly")
    with pytest.raises(ReportError, match=r"plan\.json does not exist"):
        reports.load(results / "other" / "nightly")
    with pytest.raises(ReportError, match="'speed' is none: choose one of tokens_per_s, "):
        reports.scaling_table(f"{results}/*/nightly", metric="speed")


def test_importing_reports_is_cheap() -> None:
    code = "import sys, reports; print({'pandas', 'numpy', 'pyarrow', 'pydantic', 'torch'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "set()\n"
