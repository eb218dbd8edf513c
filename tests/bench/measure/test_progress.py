"""Heartbeats: written beside the training, and only while it makes progress."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest
import torch
from pydantic import BaseModel

from bench.contract.storage.files import AttemptFolder, write_document
from bench.measure import progress as module
from bench.measure.glimpse import LossGlimpse
from bench.measure.progress import BEAT_EVERY, Progress
from tests.support.sweeps import wait_for

TOKENS = 64
"""Of an optimizer step."""

LOSSES = torch.tensor([2.0, 3.0])
"""Of the micro-batches of a step."""

SLOW = 0.05
"""Seconds of a write: a file system that answers, but late."""


@pytest.fixture
def attempt(tmp_path: Path) -> AttemptFolder:
    folder = AttemptFolder(tmp_path / "0")
    folder.create()
    return folder


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Moments at which a heartbeat was written, by a file system that takes `SLOW` seconds for each."""
    moments: list[float] = []

    def slowly(path: Path, document: BaseModel, *, durable: bool = True) -> None:
        time.sleep(SLOW)
        write_document(path, document, durable=durable)
        moments.append(time.monotonic())

    monkeypatch.setattr(module, "write_document", slowly)
    return moments


def test_a_slow_file_system_takes_no_time_of_the_steps(attempt: AttemptFolder, written: list[float]) -> None:
    progress = Progress(attempt, 0, 1000, TOKENS)
    spent = 0.0
    begin = time.monotonic()
    for step in range(1000):
        before = time.monotonic()
        progress.finished(step, LOSSES)
        spent += time.monotonic() - before
        if time.monotonic() - begin > 3 * BEAT_EVERY:
            break
        time.sleep(0.01)
    assert len(written) >= 2
    assert spent < 0.2 * SLOW * len(written)
    assert progress.slow_folder


def test_a_local_disk_is_not_slow(attempt: AttemptFolder) -> None:
    progress = Progress(attempt, 0, 10, TOKENS)
    assert not progress.slow_folder, "nothing is known yet"
    for step in range(3):
        progress.finished(step, LOSSES)
        assert wait_for(lambda step=step: (beat := attempt.last_heartbeat()) is not None and beat.step == step)
    assert not progress.slow_folder


def test_without_progress_the_heartbeat_stops(attempt: AttemptFolder) -> None:
    progress = Progress(attempt, 0, 10, TOKENS)
    progress.enter("training")
    assert wait_for(attempt.heartbeat.exists)
    last = attempt.heartbeat.stat().st_mtime_ns
    time.sleep(3 * BEAT_EVERY)
    assert attempt.heartbeat.stat().st_mtime_ns == last
    progress.alive()
    assert wait_for(lambda: attempt.heartbeat.stat().st_mtime_ns != last)


def test_a_heartbeat_that_cannot_be_written_stops_the_rank(attempt: AttemptFolder) -> None:
    """With the error's own words: the runner would otherwise end it as hung."""
    attempt.heartbeat.mkdir()
    (attempt.heartbeat / "in the way").touch()
    progress = Progress(attempt, 0, 10, TOKENS)
    progress.enter("training")
    with pytest.raises(OSError, match=str(attempt.heartbeat)):
        assert wait_for(progress.alive, 5), "no report was refused"


def test_nothing_is_left_half_written(attempt: AttemptFolder) -> None:
    for _ in range(20):
        progress = Progress(attempt, 0, 10, TOKENS)
        progress.enter("training")
        progress.finished(3, LOSSES)
        progress.close()
        assert [each.name for each in attempt.path.iterdir() if each.is_file()] == ["heartbeat.json"]
        beat = attempt.last_heartbeat()
        assert beat is not None
        assert beat.step == 3
        attempt.heartbeat.unlink()


def test_only_rank_0_has_a_heartbeat(attempt: AttemptFolder) -> None:
    progress = Progress(attempt, 1, 10, TOKENS)
    progress.enter("training")
    progress.close()
    assert not attempt.heartbeat.exists()


def test_the_speed_and_the_loss_of_recent_steps(attempt: AttemptFolder) -> None:
    progress = Progress(attempt, 0, 1000, TOKENS)
    begin = time.monotonic()
    for step in range(1000):
        progress.finished(step, torch.tensor([float(step), step + 2.0]))
        time.sleep(0.01)
        if (beat := attempt.last_heartbeat()) is not None and beat.step > 50:
            break
    rate = TOKENS * step / (time.monotonic() - begin)
    progress.close()
    beat = attempt.last_heartbeat()
    assert beat is not None
    assert beat.tokens_per_s == pytest.approx(rate, rel=0.5)
    assert beat.loss is not None
    assert 0 < beat.loss <= beat.step + 1, "a mean of one step's micro-batches, and that of a recent step"
    assert beat.loss == int(beat.loss)


def test_before_the_first_step_nothing_is_said_of_speed_and_loss(attempt: AttemptFolder) -> None:
    progress = Progress(attempt, 0, 10, TOKENS)
    progress.enter("model")
    progress.close()
    beat = attempt.last_heartbeat()
    assert beat is not None
    assert (beat.step, beat.tokens_per_s, beat.loss) == (-1, None, None)


def test_a_diverged_loss_is_shown_as_such(attempt: AttemptFolder) -> None:
    progress = Progress(attempt, 0, 10, TOKENS)
    progress.finished(0, torch.tensor([float("nan")]))
    progress.close()
    beat = attempt.last_heartbeat()
    assert beat is not None
    assert beat.loss is not None
    assert math.isnan(beat.loss)


def test_a_loss_that_cannot_be_read_does_not_end_the_heartbeats(
    attempt: AttemptFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(glimpse: LossGlimpse) -> float | None:
        raise RuntimeError("CUDA error: out of memory")

    monkeypatch.setattr(LossGlimpse, "look", fails)
    progress = Progress(attempt, 0, 10, TOKENS)
    for step in range(2):
        progress.finished(step, LOSSES)
        assert wait_for(lambda step=step: (beat := attempt.last_heartbeat()) is not None and beat.step == step)
    progress.close()
