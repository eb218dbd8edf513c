"""What `wandb: {live: true}` costs a training: steps per second with it over those without, in mode offline."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.contract.run import Wandb
from bench.data.synthetic import SyntheticData, make_synthetic
from tests.conftest import LENGTH, VOCABULARY
from tests.support.pairs import paired_ratio
from tests.support.runs import make_run

STEPS = 60_000
"""Six minutes on an idle core: a seventh of it has too few turns for a useful interval."""
BATCH = 4


@pytest.mark.timeout(1800)
def test_following_by_wandb(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """One rank, and turns of 2 seconds, in each of which W&B gets two rows."""
    sizes = SyntheticData(vocab_size=VOCABULARY, sequence_length=LENGTH, train_samples=STEPS * BATCH, val_samples=64)
    make_synthetic(tmp_path / "data", sizes)
    run = make_run(tmp_path / "data", (1, 1, 1), batch_size=BATCH, steps=STEPS)
    asked = run.model_copy(update={"wandb": Wandb(mode="offline", live=True)})
    file = tmp_path / "run.json"
    file.write_text(asked.model_dump_json(), encoding="utf-8")
    command = [sys.executable, "-m", "tests.benchmarks.live_turns", str(file), str(tmp_path / "run")]

    def turns() -> list[list[float]]:
        variables = {**os.environ, "OMP_NUM_THREADS": "1"}
        found: list[list[float]] = json.loads(
            subprocess.run(command, check=True, stdout=subprocess.PIPE, env=variables).stdout
        )
        return found

    followed, alone = zip(*benchmark.pedantic(turns, rounds=1), strict=True)
    benchmark.extra_info["steps per second, followed over stopped"] = paired_ratio(followed, alone)
    benchmark.extra_info["steps per second"] = [round(each, 1) for each in alone]
