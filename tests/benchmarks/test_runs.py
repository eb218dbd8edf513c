"""What the harness costs around a training, and how soon a run takes its first step. `make bench`."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.contract import Result
from tests.bench.runs import make_run
from tests.matrix.sweeps import SmallSweep

ROUNDS = 5


def training_seconds(sweep: SmallSweep, run_id: str) -> float:
    """From the first sign of a rank to the last: its log is made first, its own word of its end last."""
    attempt = sweep.folder.run(run_id).attempt(0)
    ends = [file.stat().st_mtime for file in attempt.ends.glob("*.json")]
    return max(ends) - sweep.folder.run(run_id).run.stat().st_mtime


@pytest.mark.timeout(600)
def test_harness_seconds_per_run(benchmark: BenchmarkFixture, tmp_path: Path, data: Path) -> None:
    """Wall time of a sweep that is not spent between asking for a run and its last rank's end. Aim: 0.1 s per run."""
    sweep = SmallSweep(tmp_path, data)
    sweep.write(["fsdp"], repeats=12)
    sweep.run("--max-runs", "1")  # what is set up once a sweep

    def rest() -> dict[str, Result]:
        sweep.run()
        return sweep.found()

    found = benchmark.pedantic(rest, rounds=1)
    order = sorted(found, key=lambda run_id: sweep.folder.run(run_id).run.stat().st_mtime)[1:]
    begins = [sweep.folder.run(run_id).run.stat().st_mtime for run_id in order]
    trained = [training_seconds(sweep, run_id) for run_id in order]
    between = [begins[i + 1] - begins[i] - trained[i] for i in range(1, len(order) - 1)]
    benchmark.extra_info["harness_seconds_per_run"] = {
        "median": round(statistics.median(between), 4),
        "max": round(max(between), 4),
    }


def first_step(log_of: Path, command: list[str], variables: dict[str, str]) -> float:
    """Seconds from starting a command to the heartbeat that says that the first step is done."""
    heartbeat = log_of / "heartbeat.json"
    begin = time.perf_counter()
    process = subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (heartbeat.exists() and '"step": 0' in heartbeat.read_text(encoding="utf-8")):
        assert process.poll() is None, "the training ended before its first step was seen"
        time.sleep(0.01)
    seconds = time.perf_counter() - begin
    process.wait()
    return seconds


@pytest.mark.timeout(600)
def test_first_step_beside_plain_torchrun(benchmark: BenchmarkFixture, tmp_path: Path, data: Path) -> None:
    """4 ranks from nothing to the first step: forked from a warm process, beside plain torchrun of the same script."""
    run = make_run(data, (1, 1, 4), steps=40)
    file = tmp_path / "run.json"
    file.write_text(run.model_dump_json(), encoding="utf-8")
    variables = {**os.environ, "OMP_NUM_THREADS": "1"}
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "4", "-m", "bench.training"]
    plain = []
    for attempt in range(3):
        folder = tmp_path / f"plain{attempt}"
        plain.append(first_step(folder, [*torchrun, str(file), str(folder)], variables))

    sweep = SmallSweep(tmp_path, data, ranks_per_node=4)
    sweep.write(["fsdp"], repeats=ROUNDS)
    benchmark.pedantic(sweep.run, rounds=1)
    warm = []
    for run_id, result in sweep.found().items():
        assert result.measured is not None
        start = result.measured.startup
        folder = sweep.folder.run(run_id)
        log = min(each.stat().st_ctime for each in folder.attempt(0).logs.glob("rank*.log"))
        fork = log - folder.run.stat().st_mtime
        warm.append(fork + start.rendezvous + start.model + start.data + start.first_step)
    benchmark.extra_info["first_step_s"] = {
        "plain torchrun": [round(each, 2) for each in plain],
        "warm": [round(each, 2) for each in warm],
        "ratio of medians": round(statistics.median(warm) / statistics.median(plain), 3),
    }
