"""A process of W&B that hangs: no rank waits for it, and the run is whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.contract.results.measured import Measured
from bench.contract.results.outcomes import Caution
from bench.contract.results.result import RankEnd
from bench.contract.run import Wandb
from bench.contract.storage.files import AttemptFolder
from matrix.host.processes import end_all
from tests.support.runs import make_run
from tests.support.tracked import OURS, ranks

STEPS = 6
LARGER_THAN_A_PIPE = "x" * 2**17

STOPS = """
import os, signal, sys
if "bench.saving.wandb" in sys.orig_argv:
    os.kill(os.getpid(), signal.SIGSTOP)
"""
"""A sitecustomize.py with which the process stops before its first line."""

IMPATIENT = """
from bench.saving import tracking
tracking.hand_over.__defaults__ = (None, 2.0)
tracking.Tracking.wait_until_ready.__defaults__ = (2.0,)
import runpy
runpy.run_module("tests.support.teardown", run_name="__main__", alter_sys=True)
"""
"""The program that trains, whose rank 0 gives up on the process after 2 seconds instead of minutes."""


def test_no_rank_waits_for_a_process_that_hangs(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text(STOPS, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    monkeypatch.setattr("tests.support.tracked.TIMEOUT", 60.0)
    asked = Wandb(mode="offline", live=True, notes=LARGER_THAN_A_PIPE)
    run = make_run(data, (2, 1, 1), steps=STEPS, every=2, block=2, log_level="error")
    try:
        said = ranks(run.model_copy(update={"wandb": asked}), tmp_path, ["-c", IMPATIENT])
    finally:
        end_all(OURS)
    attempt = AttemptFolder(tmp_path / "out" / "0")
    assert said.startswith("attempt 0: statuses [0, 0], printed:\n")
    assert "the upload to Weights & Biases is incomplete: it took longer than 2 s" in said
    for rank in range(2):
        assert RankEnd.model_validate_json(attempt.rank_end(rank).read_text()).completed
    measured = Measured.model_validate_json(attempt.measured.read_text())
    assert measured.cautions[-1] is Caution.WANDB_FAILED
    assert measured.window.steps > 0
    assert attempt.steps.is_file()
