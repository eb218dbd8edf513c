"""Files for programs that track figures, read by these programs where they can be installed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from junitparser import Error, Failure, JUnitXml, Skipped
from pytest_benchmark.stats import Stats

from bench.contract.results.outcomes import Outcome
from bench.contract.results.result import Result
from reports.cells.metrics import METRICS
from reports.render.exporters import exporters
from reports.render.formats import Format
from reports.render.write import write_report
from reports.tables.selection import Selection
from tests.support.documents import SweepDocuments, a_measurement
from tests.support.needs import not_installable
from tests.support.reported import NASTY, fill

FORMATS = (Format.PYTEST_BENCHMARK, Format.JUNIT, Format.BENCHER, Format.GITHUB_ACTION, Format.OTAVA)
HSDP_ON_ONE = "llama-tiny, batch size 4 / hsdp / 1 node"
FSDP_ON_ONE = "llama-tiny, batch size 4 / fsdp / 1 node"


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> SweepDocuments:
    made = SweepDocuments(tmp_path_factory.mktemp("tracked") / "sweep", streams=(1, 2))
    fill(made)
    made.write()
    return made


@pytest.fixture(scope="module")
def out(sweep: SweepDocuments, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    write_report(sweep.path, folder, exporters(FORMATS))
    return folder


def test_pytest_benchmark_compares_two_reports(out: Path, tmp_path: Path) -> None:
    for name in ("0001_old.json", "0002_new.json"):
        shutil.copy(out / "pytest-benchmark.json", tmp_path / name)
    command = [Path(sys.executable).parent / "pytest-benchmark", "compare", "0001_old.json", "0002_new.json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "benchmark 'llama-tiny, batch size 4': 12 tests" in done.stdout
    assert done.stdout.count("/ federated, 2 streams / 2 nodes") == 2
    assert "Failed to load" not in done.stdout + done.stderr


def test_pytest_benchmarks_own_statistics_agree(out: Path) -> None:
    for benchmark in json.loads((out / "pytest-benchmark.json").read_text())["benchmarks"]:
        theirs = Stats()
        theirs.data = benchmark["stats"]["data"]
        agreed = {name: getattr(theirs, name) for name in ("min", "max", "mean", "stddev", "median", "ops", "total")}
        assert {name: benchmark["stats"][name] for name in agreed} == pytest.approx(agreed)
        assert {*Stats.fields} <= benchmark["stats"].keys()


def test_a_round_is_the_time_of_a_token(out: Path) -> None:
    by_name = {each["name"]: each for each in json.loads((out / "pytest-benchmark.json").read_text())["benchmarks"]}
    assert by_name[FSDP_ON_ONE]["stats"]["data"] == pytest.approx([1 / 1000, 1 / 1100, 1 / 1050])
    assert by_name[HSDP_ON_ONE]["stats"] == by_name[FSDP_ON_ONE]["stats"], "hsdp on one node is fsdp"
    assert by_name[FSDP_ON_ONE]["extra_info"]["peak_memory_gib"] == 5


def test_junit_has_a_case_for_each_run(sweep: SweepDocuments, out: Path) -> None:
    document = JUnitXml.fromfile(str(out / "junit.xml"))
    (suite,) = document
    cases = list(suite)
    planned = [run for cell in sweep.cells if cell.status == "run" for run in cell.runs]
    assert [case.name for case in cases if case.name != "plan"] == planned
    kinds = [type(result) for case in cases for result in case.result]
    assert (kinds.count(Failure), kinds.count(Error), kinds.count(Skipped)) == (1, 0, 3)
    assert (document.tests, document.failures, document.errors, document.skipped) == (len(planned) + 2, 1, 0, 3)
    (failed,) = (result for case in cases for result in case.result if isinstance(result, Failure))
    assert failed.type == "oom"
    assert failed.message == "oom: CUDA out of \ufffd[31mmemory_x"
    assert f"impossible: {NASTY}" in [result.message for case in cases for result in case.result]
    seconds = Result.model_validate_json(sweep.folder(planned[0]).result.read_text()).seconds
    assert next(case for case in cases if case.name == planned[0]).time == pytest.approx(seconds, abs=1e-3)


def test_an_interrupted_run_is_no_pass_and_a_selection_has_the_runs_that_it_shows(tmp_path: Path) -> None:
    sweep = SweepDocuments(tmp_path / "sweep")
    ids = sweep.run("fsdp", 1, speeds=[1000.0])
    sweep.same("hsdp", 1, "fsdp")
    sweep.end(ids[1], Outcome.INTERRUPTED, "the job reached its time limit")
    sweep.end(ids[2], Outcome.OOM_INFERRED, "a smaller batch was out of memory")
    only = Selection(lambda labels: labels["strategy"] == "hsdp")
    for name, selection in (("every", None), ("some", only)):
        write_report(sweep.write(), tmp_path / name, exporters([Format.JUNIT]), selection)
        cases = [case for suite in JUnitXml.fromfile(str(tmp_path / name / "junit.xml")) for case in suite]
        assert [(case.name, [type(result) for result in case.result]) for case in cases] == [
            (ids[0], []),
            (ids[1], [Error]),
            (ids[2], [Skipped]),
        ]


@pytest.mark.parametrize("name", [name for name in FORMATS if name is not Format.JUNIT])
def test_cells_without_their_runs_are_said(sweep: SweepDocuments, name: Format, tmp_path: Path) -> None:
    assert write_report(sweep.path, tmp_path, exporters([name])).problems == [
        "trackers: 1 series is of fewer runs than planned or missing: llama-tiny, batch size 4 / hsdp / 2 nodes "
        "(1 of 3 runs completed)"
    ]


def test_the_best_configurations_are_not_tracked_since_they_change_from_night_to_night(tmp_path: Path) -> None:
    sweep = SweepDocuments(tmp_path / "sweep", nodes=(1,))
    sweep.axes["batch_size"] = [4, 8]
    sweep.best_of = ["batch_size"]
    for batch in (4, 8):
        sweep.run("fsdp", 1, speeds=[100.0 * batch] * 3, batch=batch)
    assert write_report(sweep.write(), tmp_path / "report", exporters(FORMATS)).problems == []
    found = json.loads((tmp_path / "report" / "bencher.json").read_text())
    assert list(found) == [f"llama-tiny, batch size {batch} / fsdp / 1 node" for batch in (4, 8)]


def test_the_guides_history_has_every_figure_under_its_metric(tmp_path: Path) -> None:
    """On the second night the peak of the device is known."""
    commits = ["1234567", "12e4567", "5a4f864"]
    for night, commit in enumerate(commits):
        sweep = SweepDocuments(tmp_path / "results" / f"2026-11-0{night + 1}" / "nightly", nodes=(1,))
        measured = a_measurement(1000.0 + night, 1, validation=2.5 + night)
        origin = measured.provenance.model_copy(update={"commit": commit})
        known = measured.utilisation.model_copy(update={"mfu": 0.3, "mfu_causal": 0.25} if night == 1 else {})
        measured = measured.model_copy(update={"provenance": origin, "utilisation": known})
        for identity in sweep.run("fsdp", 1):
            sweep.end(identity, measured=measured)
        write_report(sweep.write(), sweep.path / "report", exporters([Format.OTAVA]))
    heads = [file.read_text().splitlines()[0] for file in sorted(tmp_path.glob("results/*/nightly/report/otava/*.csv"))]
    assert heads[0] != heads[1], "the columns are those of the night"
    guide = (Path(__file__).parents[4] / "docs" / "guides" / "reports.md").read_text()
    (script,) = (block for block in re.findall(r"```python\n(.*?)```", guide, re.DOTALL) if "otava" in block)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (file,) = (tmp_path / "otava").glob("*.csv")
    head, *lines = (line.split(",") for line in file.read_text().splitlines())
    assert head == ["time", "commit", "tokens_per_s", "peak_memory_gib", "loss_validation"]
    assert [line[1] for line in lines] == commits
    assert [float(line[2]) for line in lines] == pytest.approx([1000, 1001, 1002])
    assert [float(line[3]) for line in lines] == [5, 5, 5]
    assert [float(line[4]) for line in lines] == pytest.approx([2.5, 3.5, 4.5])
    assert (tmp_path / "otava" / "otava.yaml").exists()


def test_bencher_has_values_with_the_bounds_of_intervals_only(out: Path) -> None:
    found = json.loads((out / "bencher.json").read_text())
    speed = found[FSDP_ON_ONE]["tokens-per-s"]
    assert speed["value"] == pytest.approx((1000 * 1100 * 1050) ** (1 / 3))
    assert speed["lower_value"] < speed["value"] < speed["upper_value"]
    assert found["llama-tiny, batch size 4 / hsdp / 2 nodes"]["tokens-per-s"] == {"value": pytest.approx(1900)}
    for name, measures in found.items():
        assert len(name) <= 1024
        for measure, metric in measures.items():
            assert len(measure) <= 64
            assert metric.keys() <= {"value", "lower_value", "upper_value"}
            assert all(isinstance(value, float) for value in metric.values())


def test_the_github_actions_lists_are_divided_by_direction(out: Path) -> None:
    def names(tool: str) -> dict[str, dict[str, Any]]:
        entries = json.loads((out / f"github-action.{tool}.json").read_text())
        assert all({"name", "unit", "value"} <= entry.keys() for entry in entries)
        return {entry["name"]: entry for entry in entries}

    bigger, smaller = names("customBiggerIsBetter"), names("customSmallerIsBetter")
    assert bigger[f"{FSDP_ON_ONE} / tokens_per_s"]["unit"] == "tokens/s"
    assert smaller[f"{FSDP_ON_ONE} / peak_memory_gib"]["value"] == 5
    assert smaller[f"{FSDP_ON_ONE} / loss_validation"]["unit"] == "nat/token"
    assert not bigger.keys() & smaller.keys()


def test_what_is_better_is_known_of_every_metric() -> None:
    costs = {metric.key for metric in METRICS if metric.better == "lower"}
    assert {"loss_validation", "peak_memory_gib", "target_s", "gpu_j_per_token"} <= costs
    assert {metric.key for metric in METRICS if metric.better is None} == {"trained_tokens"}
    gains = {metric.key for metric in METRICS} - costs - {"trained_tokens"}
    consumed = re.compile("energy|^time|hours|^wait|^transfer")
    rates = {metric.key for metric in METRICS if metric.of_machine and not consumed.search(metric.title)}
    known = rates | {"speed_up", "efficiency", "efficiency_own", "ratio", "largest_batch_size"}
    assert gains == known, (
        "a rate is a gain but for what `consumed` finds by title, any other metric must be named here"
    )


def test_a_ratio_is_better_in_the_direction_of_what_it_divides() -> None:
    own = {metric.column: metric.better for metric in METRICS if metric.against is None}
    compared = {metric.key: metric.better for metric in METRICS if metric.against is not None}
    assert compared == {metric.key: own[metric.column] for metric in METRICS if metric.against is not None}
    assert compared["ratio"] == "higher"
    assert compared["target_ratio"] == compared["loss_difference"] == "lower"


def test_otavas_files_agree_with_its_configuration(out: Path) -> None:
    tests = yaml.safe_load((out / "otava" / "otava.yaml").read_text())["tests"]
    assert len(tests) == 6
    for test in tests.values():
        head, line = (out / test["file"]).read_text().splitlines()
        assert head.split(",") == ["time", "commit", *test["metrics"]]
        assert len(line.split(",")) == len(head.split(","))
        assert test["metrics"]["tokens_per_s"] == {"direction": 1}
        assert test["metrics"]["peak_memory_gib"] == {"direction": -1}


def test_otava_finds_a_planted_slow_down(out: Path, tmp_path: Path) -> None:
    program = shutil.which("otava")
    if program is None:
        not_installable("otava", "pip install apache-otava in an environment of its own, and put it on PATH")
    shutil.copytree(out / "otava", tmp_path / "otava")
    name = "hand-made.llama-tiny-batch-size-4.fsdp.1-node"
    file = tmp_path / "otava" / f"{name}.csv"
    head, line = (row.split(",") for row in file.read_text().splitlines())
    lines = [head]
    for night in range(24):
        speed = (1000 if night < 16 else 900) + 5 * (-1) ** night
        start = datetime(2026, 1, 1, 22, tzinfo=UTC) + timedelta(days=night)
        lines.append([start.isoformat(), line[1], str(speed), *line[3:]])
    file.write_text("".join(",".join(each) + "\n" for each in lines))
    command = [program, "analyze", "--config-file", "otava/otava.yaml", name, "--metrics", "tokens_per_s"]
    done = subprocess.run(
        [*command, "--since", "2025-12-01"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    before, _, after = done.stdout.partition("-10.0%")
    assert "2026-01-16" in before
    assert "2026-01-17" in after
    assert "2026-01-17" not in before
