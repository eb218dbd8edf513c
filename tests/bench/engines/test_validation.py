"""Validation during the training: what it sees, and that neither the clock nor the training notices it."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import pytest

from bench.contract.run import Run
from bench.data.dataset import load
from bench.engines.loss import validate
from bench.engines.native import train
from bench.measure.window import Steps, Trained, window
from bench.models.optim import build_optimizer
from tests.support.ranks import Ranks
from tests.support.runs import CPU, NoProgress, averaging, make_run, prepare

PAUSE = 1.0


def trained_and_validated(rank: int, run: Run, pause: float) -> tuple[Trained, float, list[float]]:
    """Return the training with validations that last `pause` longer, the validation at the end, and their moments."""
    groups, model = prepare(run, rank)
    data, optimizer = load(run, rank), build_optimizer(model, run.training)
    at_end = partial(validate, run, model, data, CPU, rank, NoProgress())
    moments: list[float] = []

    def slow() -> float:
        moments.append(time.perf_counter())
        time.sleep(pause)
        return at_end()

    trained = train(run, model, optimizer, averaging(model, groups), data, CPU, NoProgress(), validation=slow)
    return trained, at_end(), moments


@pytest.mark.parametrize("layout", [(2, 1, 2), (1, 2, 2)])
def test_a_slow_validation_is_in_no_measured_time_and_changes_no_loss(
    ranks: Ranks, data: Path, layout: tuple[int, int, int]
) -> None:
    """4 ranks, 16 steps in blocks of 4, 12 of them in the window: 3 validations, the second and third inside it."""
    settings = {"steps": 16, "val_samples": 12, "schedule_steps": 16}
    run = make_run(data, layout, **settings, validate_every=4)
    answers = ranks(4, trained_and_validated, run, PAUSE)
    every = [trained for trained, _, _ in answers]
    found = window(run, Steps.of(every, run.validated_steps))
    with_pauses = window(run, Steps.of(every))
    assert with_pauses.seconds - found.seconds > 2 * PAUSE
    assert found.block_tokens_per_s[0] > with_pauses.block_tokens_per_s[1], "of which a block is as long as the pause"
    moments = answers[0][2]
    assert len(moments) == 3
    between = moments[2] - moments[1]  # a pause, a validation and a block
    assert found.tokens / found.steps * 4 / found.block_tokens_per_s[1] < between - PAUSE

    (losses,) = {tuple(trained.validations) for trained in every}
    plain = ranks(4, trained_and_validated, make_run(data, layout, **settings), 0.0)
    assert [trained.losses for trained, _, _ in plain] == [trained.losses for trained in every]
    assert plain[0][1] == answers[0][1], "the same model at the end"
    assert plain[0][0].validations == []
    shorter = ranks(4, trained_and_validated, make_run(data, layout, **settings | {"steps": 8}), 0.0)
    assert losses[1] == pytest.approx(shorter[0][1], rel=1e-9), "the averaged model's, after 8 of the steps"
