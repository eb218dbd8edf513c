"""A run that a real W&B follows while it trains, whatever dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from bench.contract.results.outcomes import Caution
from bench.contract.results.result import Heartbeat
from bench.contract.run import Run
from bench.contract.storage.files import AttemptFolder, write_document
from bench.host.process import OWNER
from bench.measure.progress import Progress
from bench.saving.tracking import Tracking, hand_over
from matrix.host.processes import owned
from tests.support.sweeps import wait_for
from tests.support.tracked import ASKED, STEPS, Tracked, cautions, records, train


@pytest.fixture
def followed(wandb_run: Run, attempt: AttemptFolder) -> Iterator[Tracking]:
    """The process that follows an attempt whose figures are already there, but for its heartbeats."""
    live = ASKED.model_copy(update={"live": True})
    started = Tracking(wandb_run.model_copy(update={"wandb": live}), attempt)
    try:
        started.wait_until_ready(lambda: None)
        assert attempt.tracking_ready.exists()
        yield started
    finally:
        started.kill()


def beat(attempt: AttemptFolder, step: int, loss: float | None, rate: float | None = None) -> None:
    heartbeat = Heartbeat(phase="training", step=step, steps=STEPS, loss=loss, tokens_per_s=rate)
    write_document(attempt.heartbeat, heartbeat, durable=False)


def sent(attempt: AttemptFolder) -> list[dict[str, float]]:
    return [{key: row[key] for key in row if key[0] != "_"} | {"step": row["_step"]} for row in Tracked(attempt).live]


def test_a_run_is_followed_and_then_filled(wandb_run: Run, attempt: AttemptFolder, followed: Tracking) -> None:
    progress = Progress(attempt, 0, STEPS, 64)
    progress.finished(3, torch.tensor([5.25]))
    assert wait_for(lambda: (beat := attempt.last_heartbeat()) is not None and beat.step == 3)
    hand_over(wandb_run, attempt, progress, followed, longest=60)
    assert sent(attempt) == [{"step": 3, "live/loss": 5.25}]
    whole = Tracked(attempt)
    assert whole.is_whole
    assert [step["train/step"] for step in whole.steps if "train/step" in step] == list(range(STEPS))
    assert whole.summary["run"] == wandb_run.id
    assert Caution.WANDB_FAILED not in cautions(attempt)


@pytest.mark.soak
def test_real_ranks_are_followed(wandb_run: Run, tmp_path: Path) -> None:
    live = wandb_run.model_copy(update={"wandb": ASKED.model_copy(update={"live": True})})
    attempt = train(live, tmp_path)
    assert sent(attempt)[-1]["step"] == STEPS - 1
    assert Tracked(attempt).is_whole
    assert Caution.WANDB_FAILED not in cautions(attempt)


DYING = f"dies{os.getpid()}/1"
"""Owner of the process of this program."""

DIES = """
import os, signal, sys, time
from pathlib import Path
from bench.contract.run import Run
from bench.contract.storage.files import AttemptFolder
from bench.saving.tracking import Tracking

folder = AttemptFolder(Path(sys.argv[1]))
Tracking(Run.model_validate_json(sys.stdin.read()), folder).wait_until_ready(lambda: None)
while not (folder.path / "die").exists():
    time.sleep(0.05)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_run_that_dies_is_there_too(wandb_run: Run, attempt: AttemptFolder) -> None:
    live = wandb_run.model_copy(update={"wandb": ASKED.model_copy(update={"live": True})})
    command = [sys.executable, "-c", DIES, str(attempt.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True, env={**os.environ, OWNER: DYING}) as rank:
        assert rank.stdin is not None
        rank.stdin.write(live.model_dump_json())
        rank.stdin.close()
        try:
            assert wait_for(attempt.tracking_ready.exists)
            beat(attempt, 3, 5.25, 100.0)
        finally:
            (attempt.path / "die").touch()
    assert rank.returncode == -signal.SIGKILL
    assert wait_for(lambda: not list(owned(DYING))), "what followed it is left"
    assert Tracked(attempt).statuses == [1]
    assert sent(attempt) == [{"step": 3, "live/loss": 5.25, "live/tokens_per_s": 100.0}]


def test_if_what_follows_a_run_dies_all_is_uploaded_by_another(
    wandb_run: Run, attempt: AttemptFolder, followed: Tracking
) -> None:
    followed.kill()
    hand_over(wandb_run, attempt, Progress(attempt, 0, STEPS, 64), followed, longest=60)
    assert Caution.WANDB_FAILED not in cautions(attempt)
    files = list(attempt.wandb.glob("offline-run-*/*.wandb"))
    assert len(files) == 2
    assert any(record.HasField("exit") for record in records(max(files, key=lambda file: file.stat().st_mtime_ns)))
