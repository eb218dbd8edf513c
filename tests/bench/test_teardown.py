"""Ranks end without a warning and without aborting, again and again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.runs import make_run

LAYOUTS = {
    "ddp": (1, 2, 1),
    "fsdp": (1, 1, 2),
    "hsdp": (1, 2, 2),
    "federated": (2, 1, 2),
    "federated-hsdp": (2, 2, 1),
}


def ends_cleanly(data: Path, folder: Path, layout: tuple[int, int, int], times: int = 20) -> None:
    run = make_run(data, layout, steps=2, warmup_steps=0, every=1, block=1, val_samples=4, log_level="warning")
    file = folder / "run.json"
    file.write_text(run.model_dump_json(), encoding="utf-8")
    command = [sys.executable, "-m", "tests.support.teardown", str(file), str(folder / "out"), str(times)]
    threads = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=threads)
    assert done.stdout == f"{times} clean\n", done.stdout + done.stderr
    assert done.returncode == 0


@pytest.mark.soak
@pytest.mark.parametrize("strategy", LAYOUTS)
def test_ranks_end_cleanly(data: Path, tmp_path: Path, strategy: str) -> None:
    ends_cleanly(data, tmp_path, LAYOUTS[strategy])
