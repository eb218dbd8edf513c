"""Tracking, as the matrix file asks for it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench.contract.run import Wandb
from matrix.cli.app import main
from matrix.errors import InputError
from tests.support.planning import LoadText, PlanText, describe_data
from tests.support.sweeps import SmallSweep

ASKED = "wandb: {mode: offline, entity: us, project: ours, group: g, name: n, notes: Why., tags: [a, b]}\n"


def test_every_run_is_tracked_as_the_file_says(plan: PlanText, small: str) -> None:
    wandb = Wandb(mode="offline", entity="us", project="ours", group="g", name="n", notes="Why.", tags=["a", "b"])
    tracked, untracked = plan(small + ASKED).runs, plan(small).runs
    assert all(run.wandb == wandb for run in tracked.values())
    assert all(run.wandb.mode == "disabled" for run in untracked.values())
    assert tracked.keys() == untracked.keys(), "it is no part of what is executed"


@pytest.mark.parametrize(
    ("section", "fault"),
    [
        ("{mode: true}", "wandb.mode: should be 'disabled', 'offline' or 'online', not true"),
        ("{mode: on}", "wandb.mode: should be 'disabled', 'offline' or 'online', not 'on'"),
        ("{projct: x}", "wandb.projct: is not a known key (did you mean 'project'?)"),
        ("{project: a/b}", "wandb.project: should be 1 to 128 characters and none of / \\ # ? % :, not 'a/b'"),
        ("{tags: [good, '']}", "wandb.tags[1]: should be 1 to 64 characters, not ''"),
        ("{tags: one}", "wandb.tags: should be a list, not 'one'"),
    ],
)
def test_what_wandb_would_refuse_is_said_before_anything_runs(
    load: LoadText, small: str, section: str, fault: str
) -> None:
    with pytest.raises(InputError) as caught:
        load(f"{small}wandb: {section}\n")
    assert str(caught.value).partition(":8: ")[2] == fault


def test_a_missing_package_is_said_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], small: str
) -> None:
    describe_data(tmp_path / "data")
    matrix, results = tmp_path / "sweep.yaml", tmp_path / "results"
    matrix.write_text(small + ASKED)
    monkeypatch.setitem(sys.modules, "wandb", None)  # which find_spec takes for absent, as import does
    monkeypatch.setattr(sys, "argv", ["xffl-bench", "run", str(matrix), "--results", str(results)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert (ended.value.code, results.exists()) == (2, False)
    assert "wandb.mode: 'offline' needs the package wandb" in capsys.readouterr().err


def test_an_image_at_a_variable_that_is_not_set_is_said_before_anything_runs(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("IMAGES", raising=False)
    sweep = SmallSweep(tmp_path, data, start="auto", system={"image": {"path": "$IMAGES/an.sif"}})
    sweep.write()
    fault = f"image.path: uses $IMAGES, which is not set in the environment: {tmp_path}/$IMAGES/an.sif"
    called = {}
    for command in ("run", "plan"):
        words = ["xffl-bench", command, str(sweep.matrix), "--results", str(sweep.results)]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as ended:
            main()
        called[command] = ended.value.code, capsys.readouterr()
    status, said = called["run"]
    assert (status, said.err, sweep.results.exists()) == (2, f"xffl-bench: {fault}\n", False)
    status, said = called["plan"]
    assert status == 0
    assert said.out.endswith(f"before it can run: {fault}\n")
