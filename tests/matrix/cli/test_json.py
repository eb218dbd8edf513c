"""JSON of commands: the documents of docs/reference/json.md, and exit statuses that say the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from bench.contract.results.outcomes import Outcome
from matrix.check.everything import CheckDocument, CheckedItem
from matrix.cli.app import app
from matrix.cli.planned.plan_document import PlanDocument, PlannedCombination, PlannedCost
from matrix.cli.progress.documents import ActiveRun, ActiveRunner, JobState, LeftRuns, StatusDocument, UnfinishedRun
from matrix.cli.render import MOST_ROWS
from reports.history.history_document import Break, HistoryDocument, HistoryNight, LevelChange, Series
from reports.nights.document import CompareDocument, NightFigure
from tests.support.documents import SweepDocuments

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "json.md").read_text(encoding="utf-8")


def called(capsys: pytest.CaptureFixture[str], *words: str, expect: int = 0) -> str:
    with pytest.raises(SystemExit) as ended:
        app([*words], prog_name="xffl-bench")
    assert (ended.value.code or 0) == expect
    return capsys.readouterr().out


@pytest.fixture
def matrix(tmp_path: Path, small: str) -> Path:
    """A matrix file, with combinations that are equivalent and impossible."""
    text = small.replace("[fsdp]", "[fsdp, hsdp]").replace("[1, 2]", "[1, 2, 9]")
    (tmp_path / "sweep.yaml").write_text(text + "strategies: {hsdp: {shard: node}}\n")
    return tmp_path / "sweep.yaml"


def test_a_plan_is_json(matrix: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["plan", str(matrix), "--results", str(tmp_path / "results"), "--json"]
    found = PlanDocument.model_validate_json(called(capsys, *words))
    assert (found.sweep, found.system, found.repeats, found.runs) == ("small", "local", 1, 6)
    assert found.counts == {"run": 6, "same": 2, "impossible": 4}
    assert len(found.combinations) == 12
    same = next(each for each in found.combinations if each.status == "same")
    assert (same.same_as, same.reason) == ({"strategy": "fsdp"}, "hsdp with one replica is fsdp here")
    assert (same.federation, same.replicate, same.shard) == (1, 1, 4)
    assert next(each.shard for each in found.combinations if each.status == "impossible") is None
    assert {run for each in found.combinations for run in each.runs} == {
        run for each in found.combinations for run in each.runs if each.status == "run"
    }
    assert (found.cost, len(found.before_it_can_run)) == (None, 1)
    only = PlanDocument.model_validate_json(called(capsys, *words, "--only", "nodes=1"))
    assert (only.runs, only.filtered_out) == (2, 4)
    jobs = ["system.scheduler=shell", "repeats=2"]
    cost = PlanDocument.model_validate_json(called(capsys, *words, *jobs)).cost
    assert cost is not None
    assert cost.runs == 12


def test_a_large_plan_is_bounded(matrix: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seeds = f"axes.seed=[{','.join(map(str, range(MOST_ROWS)))}]"
    words = ["plan", str(matrix), "--results", str(tmp_path / "results"), "--json", seeds]
    found = PlanDocument.model_validate_json(called(capsys, *words))
    assert (len(found.combinations), found.not_listed, found.runs) == (MOST_ROWS, 11 * MOST_ROWS, 6 * MOST_ROWS)


def test_status_is_json_and_its_exit_status_tells_failures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = SweepDocuments(tmp_path / "sweep", nodes=(1,))
    one, two, _ = made.run("fsdp", 1, speeds=[100.0])
    made.end(two, Outcome.INTERRUPTED, "the runner was stopped")
    made.write()
    words = ["status", str(made.path), "--json"]
    found = StatusDocument.model_validate_json(called(capsys, *words))
    assert (found.runs, found.outcomes, found.not_run) == (3, {"completed": 1, "interrupted": 1}, 1)
    made.end(two, Outcome.CRASHED, "rank 1: KeyError")
    failed = StatusDocument.model_validate_json(called(capsys, *words, expect=1))
    assert failed.unfinished == [UnfinishedRun(run=two, outcome=Outcome.CRASHED, reason="rank 1: KeyError")]
    assert (failed.runner, failed.jobs, failed.active, one in str(failed)) == (None, [], [], False)
    assert "crashed" in called(capsys, *words[:-1], expect=1)


def test_a_check_is_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gpus = tmp_path / "gpus.yaml"
    gpus.write_text("{name: gpus, device: cuda, nodes: 1, ranks_per_node: 64}\n")
    missing = CheckDocument.model_validate_json(called(capsys, "check", "--system", str(gpus), "--json", expect=1))
    assert (missing.system, missing.ready) == ("gpus", False)
    assert [item.state for item in missing.items if item.name == "GPUs"] == ["missing"]


@pytest.mark.parametrize(
    "kind",
    [PlanDocument, PlannedCombination, PlannedCost, StatusDocument, UnfinishedRun, JobState, LeftRuns, ActiveRunner,
     ActiveRun, CheckDocument, CheckedItem, CompareDocument, NightFigure, HistoryDocument, HistoryNight,
     Series, LevelChange, Break],
)  # fmt: skip
def test_every_field_is_documented(kind: type[BaseModel]) -> None:
    rows = "\n".join(f"| `{name}` | {field.description} |" for name, field in kind.model_fields.items())
    section = re.split(r"^#+ ", PAGE.split(f"# `{kind.__name__}`\n")[1], flags=re.MULTILINE)[0]
    assert rows in section, f"the table of {kind.__name__} should be:\n| field | meaning |\n|---|---|\n{rows}"
