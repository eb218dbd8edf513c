"""`report --format --metric --only`: what is written and shown, and that no figure depends on it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from matrix.cli.app import app
from matrix.errors import InputError
from tests.support.documents import SweepDocuments
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
    assert f"The full report: {report}" in done.output.replace("\n", "")


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
