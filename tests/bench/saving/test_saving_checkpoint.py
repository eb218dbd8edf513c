"""A run resumed from a checkpoint is bitwise identical to an uninterrupted training."""

from __future__ import annotations

import hashlib
import json
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from bench.contract.resume import CheckpointError, Reached, read_checkpoint
from bench.contract.run import Run
from bench.contract.shapes import STOCK
from bench.contract.storage.files import AttemptFolder
from bench.data.dataset import load
from bench.engines.loss import validate
from bench.engines.native import train
from bench.models.optim import build_optimizer, learning_rate
from bench.saving.checkpoint import go_on
from bench.saving.save import save
from tests.support.ranks import Ranks
from tests.support.runs import CPU, NoProgress, averaging, full_parameters, make_run, mean_curve, one_by_one, prepare
from tests.support.sweeps import SmallSweep

pytestmark = pytest.mark.soak  # a minute of small trainings

HALF, WHOLE = 3, 6
Layout = tuple[int, int, int]
Answer = tuple[list[float], dict[str, torch.Tensor], dict[str, Any]]


def trained(rank: int, run: Run, folder: Path) -> Answer:
    """As the training does it: losses of the rank, parameters, what of the optimizer's state is this rank's own."""
    groups, model = prepare(run, rank)
    optimizer = build_optimizer(model, run.training)
    first_step = go_on(run, model, optimizer, rank, NoProgress().alive)
    data = load(run, rank, first_step)
    losses = train(run, model, optimizer, averaging(model, groups), data, CPU, NoProgress()).losses
    validate(run, model, data, CPU, rank, NoProgress())
    saved = save(run, AttemptFolder(folder), model, optimizer, rank, first_step, NoProgress().alive)
    if rank == 0 and run.training.save_checkpoint:
        files = (folder / "checkpoint").iterdir()
        assert saved.checkpoint_bytes == sum(file.stat().st_size for file in files)
    state = {
        f"{place}.{slot}": (value.to_local() if hasattr(value, "to_local") else value).clone()
        for place, slots in enumerate(optimizer.state.values())
        for slot, value in slots.items()
    }
    return losses, full_parameters(model), state


def half(data: Path, layout: Layout, **changes: Any) -> Run:
    """The first half of a training, which leaves a checkpoint."""
    return a_run(data, layout, steps=HALF, save_checkpoint=True, **changes)


def second(data: Path, layout: Layout, folder: Path, **changes: Any) -> Run:
    return a_run(data, layout, steps=WHOLE - HALF, start_from=str(folder / "checkpoint"), **changes)


def a_run(data: Path, layout: Layout, **changes: Any) -> Run:
    settings = {"every": 3, "block": 3, "warmup_steps": 0, "schedule_steps": WHOLE, "val_samples": 8} | changes
    return make_run(data, layout, **settings)


def halves_and_whole(rank: int, data: Path, folder: Path, layout: Layout, changes: dict[str, Any]) -> list[Answer]:
    """The first half, the second, and the training without a stop."""
    folder.mkdir(exist_ok=True)
    runs = [
        half(data, layout, **changes),
        second(data, layout, folder, **changes),
        a_run(data, layout, steps=WHOLE, **changes),
    ]
    return [trained(rank, run, folder) for run in runs]


TRAININGS: dict[int, list[tuple[Layout, dict[str, Any]]]] = {
    1: [((1, 1, 1), {})],
    2: [
        ((1, 2, 1), {}),
        ((1, 1, 2), {"optimizer": "sgd"}),
        ((1, 1, 2), {"precision": "bf16"}),
    ],
    3: [((1, 1, 3), {"accumulation": 2, "clip_norm": 1.0})],  # uneven shards
    4: [
        ((1, 2, 2), {"precision": "bf16-mixed"}),
        ((2, 1, 2), {"model": "mixtral-tiny"}),
        ((2, 2, 1), {"federated_data": "share"}),
    ],
    8: [((2, 2, 2), {})],
}


@pytest.mark.parametrize("world", TRAININGS)
def test_two_halves_are_the_whole(ranks: Ranks, data: Path, tmp_path: Path, world: int) -> None:
    trainings = TRAININGS[world]
    jobs = [(data, tmp_path / str(place), *training) for place, training in enumerate(trainings)]
    for of_rank in ranks(world, one_by_one, halves_and_whole, jobs):
        for training, (first, later, whole) in zip(trainings, of_rank, strict=True):
            assert first[0] + later[0] == whole[0], training
            for half_way, end, expected in zip(first[1:], later[1:], whole[1:], strict=True):  # parameters, then state
                assert end.keys() == expected.keys(), training
                assert all(torch.equal(end[name], value) for name, value in expected.items()), training
                assert not expected or any(not torch.equal(half_way[name], value) for name, value in expected.items())


def test_ddp_of_many_ranks_goes_on_but_for_rounding(ranks: Ranks, data: Path, tmp_path: Path) -> None:
    """DDP orders its buckets anew after its first step, and with them the terms of its sums."""
    for first, later, whole in ranks(4, halves_and_whole, data, tmp_path, (1, 4, 1), {}):
        assert first[0] + later[0] == pytest.approx(whole[0], rel=1e-6)
        assert all(torch.allclose(later[1][name], value, rtol=1e-4, atol=1e-6) for name, value in whole[1].items())


def test_groups_have_optimizer_states_of_their_own(ranks: Ranks, data: Path, tmp_path: Path) -> None:
    answers = ranks(4, trained, half(data, (2, 1, 2)), tmp_path)
    assert not torch.equal(answers[0][2]["0.exp_avg"], answers[2][2]["0.exp_avg"]), "the test above shows nothing"


def test_another_strategy_or_world_size_goes_on(ranks: Ranks, data: Path, tmp_path: Path) -> None:
    whole = ranks(4, halves_and_whole, data, tmp_path, (1, 1, 4), {})
    assert all(first[0] + later[0] == third[0] for first, later, third in whole)
    expected = mean_curve([third[0] for _, _, third in whole])[HALF:]
    for layout, batch_size in [((1, 2, 2), 2), ((1, 1, 2), 4), ((1, 4, 1), 2), ((1, 1, 1), 8)]:
        run = second(data, layout, tmp_path, batch_size=batch_size)
        other = ranks(run.world, trained, run, tmp_path)
        assert mean_curve([losses for losses, _, _ in other]) == pytest.approx(expected, rel=1e-6), layout
        for name, value in whole[0][2][1].items():
            assert torch.allclose(other[0][1][name], value, rtol=1e-4, atol=1e-6), (layout, name)


def refusal(rank: int, run: Run) -> str:
    """What a rank says to going on."""
    _, model = prepare(run, rank)
    try:
        go_on(run, model, build_optimizer(model, run.training), rank, NoProgress().alive)
    except CheckpointError as error:
        return str(error)
    return ""


@pytest.fixture
def checkpoint(ranks: Ranks, data: Path, tmp_path: Path) -> Path:
    ranks(2, trained, half(data, (1, 1, 2)), tmp_path)
    return tmp_path / "checkpoint"


def test_another_training_is_refused(ranks: Ranks, data: Path, checkpoint: Path) -> None:
    reasons: list[tuple[Layout, dict[str, Any], str]] = [
        ((1, 1, 2), {"model": "mixtral-tiny"}, "its model has another shape (architecture llama, not mixtral"),
        ((1, 1, 2), {"precision": "bf16"}, "it stores fp32, but training.precision bf16 needs bf16"),
        ((1, 1, 2), {"optimizer": "sgd"}, "it stores the state of adamw, but training.optimizer is sgd"),
        ((2, 1, 1), {}, "it stores the optimizer states of 1 federated group(s), the run has 2: each group "
         "needs its own"),
        ((1, 1, 2), {"batch_size": 4}, "its steps read 4 samples and the run's 8, so the order of samples would not "
         "continue: choose batch_size, or training.accumulation, for the same global batch"),
        ((1, 1, 2), {"schedule_steps": None}, "its training has done 3 steps, so training.schedule_steps must give "
         "the total steps of the learning rate's schedule (it was 6)"),
    ]  # fmt: skip
    runs = [(second(data, layout, checkpoint.parent, **changes),) for layout, changes, _ in reasons]
    for of_rank in ranks(2, one_by_one, refusal, runs):
        for (_, _, reason), said in zip(reasons, of_rank, strict=True):
            assert said.startswith(f"cannot resume from {checkpoint}: {reason}"), said


def remove_facts(folder: Path) -> None:
    (folder / "checkpoint.json").unlink()


def remove_index(folder: Path) -> None:
    (folder / ".metadata").unlink()


def remove_all(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))


def spoil_facts(folder: Path) -> None:
    (folder / "checkpoint.json").write_text("{}")


def remove_part(folder: Path) -> None:
    next(folder.glob("*.distcp")).unlink()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (remove_all, "{} is not a folder: name one written by training.save_checkpoint"),
        (remove_facts, "{} contains no complete checkpoint: name a folder written by training.save_checkpoint"),
        (remove_index, "{} contains no complete checkpoint: name a folder written by training.save_checkpoint"),
        (spoil_facts, "{}/checkpoint.json cannot be read (ValidationError): name another checkpoint"),
        (remove_part, "{} cannot be read: rank 0: FileNotFoundError: "),
    ],
)
def test_what_is_no_whole_checkpoint_is_refused(
    ranks: Ranks, data: Path, checkpoint: Path, spoil: Callable[[Path], None], reason: str
) -> None:
    spoil(checkpoint)
    for said in ranks(2, refusal, second(data, (1, 1, 2), checkpoint.parent)):
        assert said.startswith(reason.format(checkpoint)), said
        assert len(said.splitlines()) == 1


def test_a_checkpoint_says_what_it_is_of(ranks: Ranks, data: Path, checkpoint: Path) -> None:
    asked = half(data, (1, 1, 2))
    assert read_checkpoint(checkpoint) == Reached(
        run="test",
        step=HALF,
        schedule_steps=WHOLE,
        step_samples=4,
        seed=1,
        data=hashlib.sha256((data / "source.json").read_bytes()).hexdigest(),
        sequence_length=32,
        shape=asked.shape,
        layout=asked.layout,
        held="fp32",
        optimizer="adamw",
    )
    (checkpoint.parent / "later").mkdir()
    ranks(2, trained, second(data, (1, 1, 2), checkpoint.parent, save_checkpoint=True), checkpoint.parent / "later")
    later = checkpoint.parent / "later" / "checkpoint" / "checkpoint.json"
    assert json.loads(later.read_text())["step"] == WHOLE


def cut_off(rank: int, run: Run, folder: Path) -> str:
    """The error of a rank when one of them can write small files only."""
    _, model = prepare(run, rank)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2500 if rank else soft, hard))
    try:
        save(run, AttemptFolder(folder), model, build_optimizer(model, run.training), rank, 0, lambda: None)
    except RuntimeError as error:
        return str(error)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    return ""


def test_a_checkpoint_that_was_cut_off_does_not_appear(ranks: Ranks, data: Path, tmp_path: Path) -> None:
    sentence = "cannot write the checkpoint: rank 1: "
    for said in ranks(2, cut_off, half(data, (1, 1, 2)), tmp_path):
        assert said.startswith(sentence), said
    assert not (tmp_path / "checkpoint").exists()
    with pytest.raises(CheckpointError, match="contains no complete checkpoint"):
        read_checkpoint(tmp_path / ".checkpoint.part")


def test_a_sweep_goes_on_and_saves(ranks: Ranks, data: Path, tmp_path: Path) -> None:
    """By the command line: where it begins, what it leaves behind, and what it says of that."""
    shape = STOCK["llama-tiny"]
    first = half(data, (1, 1, 2), batch_size=1, learning_rate=1e-2, lr_warmup_fraction=0.0)
    losses = ranks(2, trained, first.model_copy(update={"shape": shape}), tmp_path)[0][0]
    sweep = SmallSweep(tmp_path, data)
    settings = {"schedule_steps": 9, "start_from": "checkpoint", "save_model": True, "save_checkpoint": True}
    sweep.write(["fsdp", "ddp"], **settings)
    sweep.run()
    found = sweep.found()
    assert len(found) == 2
    for run_id, result in found.items():
        folder = sweep.folder.run(run_id)
        steps, attempt = pd.read_parquet(folder.steps), folder.attempt(result.attempt)
        assert steps["learning_rate"].iloc[0] == learning_rate(sweep.folder.requested_run(run_id), HALF)
        assert steps["loss"].iloc[0] < losses[0] - 0.1, "the parameters are the first ones"
        assert read_checkpoint(attempt.checkpoint).step == HALF + 6
        assert result.measured is not None
        saved = result.measured.saved
        assert saved.model_s > 0
        assert saved.checkpoint_s > 0
        assert saved.model_bytes == sum(file.stat().st_size for file in attempt.model.iterdir()) > 4 * shape.parameters
        assert saved.checkpoint_bytes == sum(file.stat().st_size for file in attempt.checkpoint.iterdir())
