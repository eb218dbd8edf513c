"""A run of a real W&B for each federated group, as xFFL's examples have one for each rank."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from bench.contract.results.measured import Measured
from bench.contract.results.outcomes import Caution
from bench.contract.run import Run, Wandb
from bench.contract.storage.files import AttemptFolder
from bench.measure.progress import Progress
from bench.saving.tracking import Tracking, hand_over
from tests.support.runs import make_run
from tests.support.sweeps import wait_for
from tests.support.tracked import STEPS, Tracked, a_tracked_run, files, train

ASKED = Wandb(mode="offline", project="ours", per_group=True)


@pytest.fixture(scope="module")
def asked(data: Path) -> Run:
    return a_tracked_run(data, ASKED)


@pytest.fixture(scope="module")
def trained(asked: Run, tmp_path_factory: pytest.TempPathFactory) -> AttemptFolder:
    return train(asked, tmp_path_factory.mktemp("trained"))


def by_group(attempt: AttemptFolder) -> list[Tracked]:
    found = [Tracked(attempt, file) for file in files(attempt)]
    return sorted(found, key=lambda each: int(each.config["federated_group"]))


def handed(run: Run, wandb: Wandb, attempt: AttemptFolder) -> list[Tracked]:
    hand_over(run.model_copy(update={"wandb": wandb}), attempt, Progress(attempt, 0, STEPS, 64), longest=60)
    measured = Measured.model_validate_json(attempt.measured.read_text())
    assert Caution.WANDB_FAILED not in measured.cautions
    return by_group(attempt)


def test_each_group_has_a_run_and_the_run_is_their_group(trained: AttemptFolder) -> None:
    found = by_group(trained)
    assert [each.run.display_name for each in found] == [f"llama-tiny.r0-1a2b3c, group {group}" for group in range(2)]
    assert [each.run.run_group for each in found] == ["llama-tiny.r0-1a2b3c"] * 2
    assert len({each.run.run_id for each in found}) == 2
    assert all(each.is_whole for each in found)
    assert [each.summary["run"] for each in found] == ["llama-tiny.r0-1a2b3c"] * 2


def test_its_steps_are_those_of_the_group(trained: AttemptFolder) -> None:
    rows = pq.read_table(trained.steps).to_pylist()
    for group, tracked in enumerate(by_group(trained)):
        own = [row for row in rows if row["group"] == group]
        assert [step["train/loss"] for step in tracked.steps] == [row["loss"] for row in own]
        assert [step["train/tokens"] for step in tracked.steps] == [row["tokens"] for row in own]
        assert tracked.steps[-1]["train/trained_tokens"] == sum(row["tokens"] for row in own)
        assert not [key for step in tracked.steps for key in step if key.startswith("train/loss_of_group")]


def test_names_that_are_given_are_kept_and_the_group_is_never_cut_off(asked: Run, attempt: AttemptFolder) -> None:
    named = ASKED.model_copy(update={"group": "mine", "name": "n" * 128})
    found = handed(asked, named, attempt)
    assert [each.run.run_group for each in found] == ["mine"] * 2
    assert [each.run.display_name for each in found] == ["n" * 119 + f", group {group}" for group in range(2)]


def test_one_group_has_one_run(data: Path, attempt: AttemptFolder) -> None:
    (only,) = handed(make_run(data, (1, 2, 1), steps=STEPS, warmup_steps=2, block=2), ASKED, attempt)
    assert only.run.display_name.endswith(", group 0")


def test_the_first_is_followed_while_the_run_trains(asked: Run, attempt: AttemptFolder) -> None:
    live = asked.model_copy(update={"wandb": ASKED.model_copy(update={"live": True})})
    following = Tracking(live, attempt)
    try:
        following.wait_until_ready(lambda: None)
        progress = Progress(attempt, 0, STEPS, 64)
        progress.finished(3, torch.tensor([5.25]))
        assert wait_for(lambda: (beat := attempt.last_heartbeat()) is not None and beat.step == 3)
        hand_over(live, attempt, progress, following, longest=60)
    finally:
        following.kill()
    first, second = by_group(attempt)
    assert [row["live/loss"] for row in first.live] == [5.25]
    assert second.live == []
    for tracked in (first, second):
        assert tracked.is_whole
        assert len([step for step in tracked.steps if "train/loss" in step]) == STEPS
