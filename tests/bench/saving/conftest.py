"""Two ranks that a real W&B tracked in mode offline, and their figures before they are handed over."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.contract.run import Run
from bench.contract.storage.files import AttemptFolder
from tests.support.tracked import ASKED, a_tracked_run, train, untold


@pytest.fixture(scope="session")
def wandb_run(data: Path) -> Run:
    run = a_tracked_run(data, ASKED)
    secret = run.system.model_copy(update={"environment": {"NCCL_DEBUG": "WARN", "WANDB_API_KEY": "no"}})
    return run.model_copy(update={"system": secret})


@pytest.fixture(scope="session")
def trained(wandb_run: Run, tmp_path_factory: pytest.TempPathFactory) -> AttemptFolder:
    return train(wandb_run, tmp_path_factory.mktemp("trained"))


@pytest.fixture
def attempt(trained: AttemptFolder, tmp_path: Path) -> AttemptFolder:
    return untold(trained, tmp_path / "0")
