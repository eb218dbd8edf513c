"""Every strategy trains the same model: the loss curves of fp32 runs at equal global batch agree."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.contract.run import Run
from tests.support.ranks import Ranks
from tests.support.runs import losses_of, make_run, mean_curve, train_rank

BOUND = 1e-5  # relative, over 20 steps
RANKS = 4
DDP = (1, 4, 1)


def largest_difference(left: list[float], right: list[float]) -> float:
    return max(abs(a - b) / abs(b) for a, b in zip(left, right, strict=True))


def curve(ranks: Ranks, run: Run) -> list[float]:
    return mean_curve(ranks(run.world, losses_of, run))


@pytest.mark.parametrize("model", ["llama-tiny", "mixtral-tiny"])
def test_strategies_agree_with_one_process(ranks: Ranks, data: Path, model: str) -> None:
    alone = curve(ranks, make_run(data, (1, 1, 1), model=model, batch_size=2 * RANKS))
    assert alone[-1] < alone[0] - 0.3, "the model did not learn, so agreement would say little"
    layouts = {"ddp": DDP, "fsdp": (1, 1, 4), "hsdp": (1, 2, 2)}
    differences = {
        name: largest_difference(curve(ranks, make_run(data, layout, model=model)), alone)
        for name, layout in layouts.items()
    }
    assert max(differences.values()) < BOUND, differences


def test_averaging_every_step_with_sgd_is_ddp(ranks: Ranks, data: Path) -> None:
    settings = {"optimizer": "sgd", "learning_rate": 1e-1, "lr_warmup_fraction": 0.0}
    ddp = curve(ranks, make_run(data, DDP, **settings))
    assert ddp[-1] < ddp[0] - 0.1
    for layout in [(2, 1, 2), (4, 1, 1), (2, 2, 1)]:
        federated = curve(ranks, make_run(data, layout, every=1, **settings))
        assert largest_difference(federated, ddp) < BOUND, layout


def losses_without_averaging(rank: int, run: Run) -> list[float]:
    return train_rank(run, rank, wrap=lambda average: lambda: None)[0].losses


def test_a_reduction_left_out_is_seen(ranks: Ranks, data: Path) -> None:
    """The negative control: the bound is tight enough to find what it is there to find."""
    settings = {"optimizer": "sgd", "learning_rate": 1e-1, "lr_warmup_fraction": 0.0}
    run = make_run(data, (2, 1, 2), every=1, **settings)
    ddp = curve(ranks, make_run(data, DDP, **settings))
    broken = mean_curve(ranks(run.world, losses_without_averaging, run))
    assert largest_difference(broken, ddp) > 10 * BOUND
