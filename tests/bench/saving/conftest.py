"""Two ranks that a real W&B tracked in mode offline, and their figures before they are handed over."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.contract.run import Run
from bench.contract.storage.files import AttemptFolder
from tests.support.runs import make_run
from tests.support.tracked import ASKED, STEPS, train, untold


@pytest.fixture(scope="session")
def wandb_run(data: Path) -> Run:
    asked = make_run(data, (2, 1, 1), steps=STEPS, warmup_steps=2, every=2, block=2, val_samples=4, log_level="error")
    secret = asked.system.model_copy(update={"environment": {"NCCL_DEBUG": "WARN", "WANDB_API_KEY": "no"}})
    return asked.model_copy(update={"wandb": ASKED, "id": "llama-tiny.r0-1a2b3c", "sweep": "sweep", "system": secret})


@pytest.fixture(scope="session")
def trained(wandb_run: Run, tmp_path_factory: pytest.TempPathFactory) -> AttemptFolder:
    return train(wandb_run, tmp_path_factory.mktemp("trained"))


@pytest.fixture
def attempt(trained: AttemptFolder, tmp_path: Path) -> AttemptFolder:
    return untold(trained, tmp_path / "0")
