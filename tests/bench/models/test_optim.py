from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bench.contract.training import Training
from bench.models.optim import build_optimizer, learning_rate, peak_learning_rate, set_learning_rate
from tests.support.runs import make_run


def test_schedule_by_hand() -> None:
    """100 steps, 10 of warm-up, peak 1: linear to 1 in step 9, half way between 1 and 0.01 midway, 0.01 at the end."""
    settings = {"learning_rate": 1.0, "lr_warmup_fraction": 0.1, "lr_decay_ratio": 0.01}
    run = make_run(Path(), (1, 1, 1), steps=100, **settings)
    rates = [learning_rate(run, step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == pytest.approx(1.0)
    assert rates[10] < 1.0
    assert rates[54] == pytest.approx(0.505)
    assert rates[99] == pytest.approx(0.01)
    assert learning_rate(run, 120) == rates[99]
    part = make_run(Path(), (1, 1, 1), steps=40, schedule_steps=100, **settings)
    assert [learning_rate(part, step) for step in range(100)] == rates
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)


@pytest.mark.parametrize(("steps", "fraction"), [(1, 0.0), (1, 1.0), (2, 1.0), (40, 1.0), (40, 0.99), (40, 0.0)])
def test_the_schedule_s_last_step_has_the_lowest_rate(steps: int, fraction: float) -> None:
    """As in xFFL, whatever the warm-up: one of all steps never reaches the peak."""
    rates_of = {"learning_rate": 1.0, "lr_warmup_fraction": fraction, "lr_decay_ratio": 0.01}
    run = make_run(Path(), (1, 1, 1), schedule_steps=steps, **rates_of)
    rates = [learning_rate(run, step) for step in range(steps + 2)]
    assert rates[steps - 1 :] == [0.01] * 3
    warmup = max(1, int(steps * fraction))
    assert rates[: min(warmup, steps - 1)] == pytest.approx([(step + 1) / warmup for step in range(steps - 1)][:warmup])


def test_adamw_has_the_library_s_defaults() -> None:
    optimizer = build_optimizer(torch.nn.Linear(2, 2), Training())
    assert isinstance(optimizer, torch.optim.AdamW)
    (group,) = optimizer.param_groups
    assert (group["lr"], group["betas"], group["weight_decay"]) == (3e-4, (0.9, 0.95), 0.1)
    set_learning_rate(optimizer, 0.5)
    assert optimizer.param_groups[0]["lr"] == 0.5


def test_sgd_is_plain() -> None:
    (group,) = build_optimizer(torch.nn.Linear(2, 2), Training(optimizer="sgd")).param_groups
    assert (group["momentum"], group["weight_decay"]) == (0, 0)


def test_learning_rate_grows_with_the_group_and_not_with_the_world() -> None:
    for layout, ranks in (((1, 2, 4), 8), ((2, 2, 2), 4), ((8, 1, 1), 1)):
        rates = [peak_learning_rate(make_run(Path(), layout, lr_scaling=kind)) for kind in ("none", "linear", "sqrt")]
        assert rates == [1e-3, pytest.approx(1e-3 * ranks), pytest.approx(1e-3 * ranks**0.5)]


@pytest.mark.parametrize("kernels", ["fused", "foreach", "loop"])
def test_adamw_runs_the_kernels_that_are_asked_for(kernels: str) -> None:
    layer = torch.nn.Linear(2, 2)
    optimizer = build_optimizer(layer, Training.model_validate({"adamw_kernels": kernels}))
    layer(torch.ones(1, 2)).sum().backward()
    with torch.profiler.profile() as profile:
        optimizer.step()
    called = {event.key for event in profile.key_averages()}
    assert any("_fused_adamw" in name for name in called) == (kernels == "fused"), called
    assert any("_foreach_lerp" in name for name in called) == (kernels == "foreach"), called
