"""What the harness costs around a training, and how soon a run takes its first step. `make bench`."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.contract.results.result import Result
from tests.support.runs import make_run
from tests.support.sweeps import SmallSweep

ROUNDS = 5


def moments(sweep: SmallSweep, run_id: str) -> tuple[float, float, float]:
    """When a run was asked for, when its first rank began (its log is the first it does; it stays empty), and when its
    last rank ended (its own word is the last it does)."""
    folder = sweep.folder.run(run_id)
    attempt = folder.attempt(0)
    begun = min(file.stat().st_mtime for file in attempt.logs.glob("rank*.log"))
    ended = max(file.stat().st_mtime for file in attempt.ends.glob("*.json"))
    return folder.run.stat().st_mtime, begun, ended


@pytest.mark.timeout(600)
def test_harness_seconds_per_run(benchmark: BenchmarkFixture, tmp_path: Path, data: Path) -> None:
    """Wall time of a sweep in which no rank of any run lives. Aim: 0.1 s per run."""
    sweep = SmallSweep(tmp_path, data)
    sweep.write(["fsdp"], repeats=12)
    sweep.run("--max-runs", "1")  # what is set up once a sweep

    def rest() -> dict[str, Result]:
        sweep.run()
        return sweep.found()

    found = benchmark.pedantic(rest, rounds=1)
    runs = sorted(moments(sweep, run_id) for run_id in found)[2:]  # one is the earlier call's, one waits for imports
    to_first_rank = [begun - asked for asked, begun, _ in runs]
    to_next_run = [following[0] - run[2] for run, following in pairwise(runs)]
    benchmark.extra_info["harness_seconds_per_run"] = {
        name: {"median": round(statistics.median(seconds), 4), "max": round(max(seconds), 4)}
        for name, seconds in {"asked to first rank": to_first_rank, "last rank to next run": to_next_run}.items()
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
