"""Results folders of earlier versions load, report and resume."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.data.synthetic import SyntheticData, make_synthetic
from matrix.store.jobs import job_folders
from matrix.store.sweep_folder import SweepFolder
from reports.data.frame import load
from tests.support.earlier import unpack

COMPLETED = 5
RUNS = 8


@pytest.fixture
def earlier_study(tmp_path: Path) -> Path:
    """A folder with a matrix file, its data set, and results/earlier as version 0.1.0 left it."""
    (tmp_path / "results").mkdir()
    unpack(tmp_path).rename(tmp_path / "results" / "earlier")
    for runner in (tmp_path / "results" / "earlier" / "runners").iterdir():
        os.utime(runner, (0, 0))  # a runner on another host counts as alive for two minutes
    make_synthetic(
        tmp_path / "data", SyntheticData(vocab_size=256, sequence_length=32, train_samples=256, val_samples=16)
    )
    return tmp_path


def _xffl_bench(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "matrix", *words], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_they_load(earlier_study: Path) -> None:
    path = earlier_study / "results" / "earlier"
    sweep = load(path)
    assert sweep.problems == []
    assert sweep.frame["outcome"].value_counts().to_dict() == {"completed": COMPLETED, "not-run": RUNS - COMPLETED}
    (job,) = job_folders(SweepFolder(path))
    assert job.order().system.slurm.account == "a"
    assert job.submitted is not None
    assert job.submitted.id == "71"
    assert job.end is not None
    assert job.end.state == "TIMEOUT"
    assert "5" in _xffl_bench(earlier_study, "status", str(path))


def test_they_resume(earlier_study: Path) -> None:
    path = earlier_study / "results" / "earlier"
    before = {file: file.read_bytes() for file in path.glob("runs/*/result.json")}
    assert len(before) == COMPLETED
    _xffl_bench(earlier_study, "run", "sweep.yaml", "--accept-changes")
    assert {file: file.read_bytes() for file in before} == before, "what had completed is kept as it was"
    sweep = load(path)
    assert sweep.problems == []
    assert list(sweep.frame["outcome"]) == ["completed"] * RUNS, "a run's id is the same in every version"
    killed = SweepFolder(path).run("llama-tiny.fsdp.n1.b2.r1-f157a0")
    assert len(killed.attempts()) == 2, "the attempt under way when the runner was killed was followed by another"
    assert "fsdp" in _xffl_bench(earlier_study, "report", str(path))
