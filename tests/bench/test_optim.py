from __future__ import annotations

import pytest
import torch

from bench.contract import Training
from bench.optim import build_optimizer, learning_rate, set_learning_rate


def test_schedule_by_hand() -> None:
    """100 steps, 10 of warm-up, peak 1: linear to 1 in step 9, half way between 1 and 0.01 midway, 0.01 at the end."""
    training = Training(steps=100, learning_rate=1.0, lr_warmup_fraction=0.1, lr_decay_ratio=0.01)
    rates = [learning_rate(training, step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == pytest.approx(1.0)
    assert rates[10] == pytest.approx(1.0)
    assert (rates[54] + rates[55]) / 2 == pytest.approx(0.505, abs=1e-3)
    assert rates[99] == pytest.approx(0.01)
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)


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
