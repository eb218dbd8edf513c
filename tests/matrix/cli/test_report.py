"""`report --format --metric --only`: what is written and shown, and that no figure depends on it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from matrix.cli.app import app
from matrix.errors import InputError
from tests.support.documents import SweepDocuments, a_breakdown
from tests.support.reported import fill


@pytest.fixture
def sweep(tmp_path: Path) -> SweepDocuments:
    made = SweepDocuments(tmp_path / "sweep", streams=(1, 2))
    fill(made)
    made.write()
    return made


def call(sweep: SweepDocuments, *options: str) -> Result:
    return CliRunner().invoke(app, ["report", str(sweep.path), *options], env={"COLUMNS": "160"})


def values(sweep: SweepDocuments) -> pd.DataFrame:
    keys = ["metric", "strategy", "cuda_streams", "nodes"]
    return pd.read_csv(sweep.path / "report" / "tables.csv", dtype=str, keep_default_na=False).set_index(keys)


def test_only_the_named_formats_are_written(sweep: SweepDocuments) -> None:
    done = call(sweep, "--format", "csv,junit", "--format", "bencher")
    assert done.exit_code == 0, done.output
    report = sweep.path / "report"
    assert {path.name for path in report.iterdir()} == {"tables.csv", "runs.csv", "junit.xml", "bencher.json"}
    assert done.output.replace("\n", "").endswith(f"The full report: {report}")


def test_a_selection_changes_no_figure(sweep: SweepDocuments) -> None:
    assert call(sweep, "--format", "csv").exit_code == 0
    every = values(sweep)
    done = call(sweep, "--format", "csv", "--metric", "efficiency,ratio", "--only", "strategy=federated")
    assert done.exit_code == 0, done.output
    some = values(sweep)
    assert {*some.index.get_level_values("metric")} == {"efficiency", "ratio"}
    assert {*some.index.get_level_values("strategy")} == {"federated"}
    assert (some["value"] != "").sum() == 4, "the reference is not shown, and still what they are relative to"
    pd.testing.assert_frame_equal(some, every.loc[some.index])
    assert "fsdp on 1 node" in done.output
    assert "tokens/s per device" not in done.output


def test_the_frame_has_the_runs_that_are_shown(sweep: SweepDocuments) -> None:
    assert call(sweep, "--format", "csv", "--only", "strategy=hsdp", "--only", "cuda_streams=2").exit_code == 0
    runs = pd.read_csv(sweep.path / "report" / "runs.csv")
    assert {*runs["axis.strategy"]} == {"fsdp", "hsdp"}, "hsdp on 1 node shows fsdp's runs"
    assert {*values(sweep).index.get_level_values("strategy")} == {"hsdp"}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--format", "cvs"], "--format: 'cvs' is not one (did you mean 'csv'?)"),
        (["--metric", "tokens_per_sec"], "--metric: 'tokens_per_sec' is not one (did you mean 'tokens_per_s'?)"),
        (["--only", "strategy=hsdpp"], "hsdpp is not a value of this axis (did you mean 'hsdp'?)"),
        (["--only", "colour=blue"], "colour: is not an axis of this sweep"),
    ],
)
def test_an_unknown_name_gives_one_sentence_and_writes_nothing(
    sweep: SweepDocuments, options: list[str], sentence: str
) -> None:
    done = call(sweep, *options)
    assert isinstance(done.exception, InputError)
    assert sentence in str(done.exception)
    assert not (sweep.path / "report").exists()


def test_a_selection_of_equal_combinations_has_the_default_report(tmp_path: Path) -> None:
    sweep = SweepDocuments(tmp_path / "sweep")
    sweep.run("fsdp", 1, speeds=[1000.0, 1010.0], breakdowns=[a_breakdown(0.1, forward=0.04)])
    sweep.same("hsdp", 1, "fsdp")
    sweep.write()
    done = call(sweep, "--only", "strategy=hsdp")
    assert done.exit_code == 0, done.output
    report = sweep.path / "report"
    outcomes = "2 completed, 1 not run; 1 of 1 breakdown run: 1 completed"
    summary = f"Sweep hand-made, 3 of 3 runs (selection: strategy=hsdp): {outcomes}"
    files = f"{report / 'report.md'}, {report / 'report.html'}"
    assert done.output.replace("\n", "").endswith(f"{summary}. The full report: {files}")
    assert f"{summary}." in (report / "report.md").read_text()
    assert f"<p>{summary}.</p>" in (report / "report.html").read_text()


def test_a_selected_report_counts_its_own_runs_and_says_that_it_is_a_selection(sweep: SweepDocuments) -> None:
    options = ["--only", "strategy=federated", "--only", "nodes=2", "--metric", "ratio"]
    assert call(sweep, "--format", "markdown", *options).exit_code == 0
    said = "6 of 15 runs (selection: strategy=federated, nodes=2, metric=ratio): 6 completed."
    assert f"Sweep hand-made, {said}" in (sweep.path / "report" / "report.md").read_text()
