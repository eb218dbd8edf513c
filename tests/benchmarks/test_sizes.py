"""What sweeps of 1,000 to 100,000 runs take. `make bench`; nothing here passes or fails by its time."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml
from pytest_benchmark.fixture import BenchmarkFixture

from bench.contract.run import Run
from bench.contract.storage.files import write_document
from bench.measure.window import write_steps
from matrix.config.load import load_sweep
from matrix.config.system import load_system
from matrix.planning.plan import make_plan
from reports.data.frame import load
from reports.render.html import page
from reports.render.write import write_report
from tests.support.browser import chromium
from tests.support.documents import a_measurement, a_result

SYSTEM = {"name": "large", "device": "cpu", "nodes": 64, "ranks_per_node": 4}
AXES = {
    "model": "llama-tiny",
    "strategy": ["fsdp", "hsdp", "federated", "federated-hsdp", "ddp"],
    "nodes": [4, 8, 16, 32, 64],
    "batch_size": 1,
    "sequence_length": 32,
}
STRATEGIES = {
    "hsdp": {"shard": "node"},
    "federated": {"groups": 2, "every": 8},
    "federated-hsdp": {"groups": 2, "shard": "node", "every": 8},
}
IN_A_TABLE = 25
"""Combinations of `AXES`, of which none is equal to another."""


def write_sweep(folder: Path, data: Path, runs: int) -> Path:
    """Write the files of a sweep of so many runs: a table for each learning rate."""
    rates = [round(1e-4 * (1 + place / 10_000), 9) for place in range(runs // IN_A_TABLE)]
    matrix = {"name": "large", "system": "system.yaml", "axes": AXES | {"learning_rate": rates}}
    matrix |= {"strategies": STRATEGIES, "data": {"path": str(data)}}
    (folder / "system.yaml").write_text(yaml.safe_dump(SYSTEM), encoding="utf-8")
    (folder / "large.yaml").write_text(yaml.safe_dump(matrix), encoding="utf-8")
    return folder / "large.yaml"


def write_made_up(run: Run, noise: random.Random, folder: Path) -> None:
    """Write a run's documents and its steps, which agree, so that the report has figures to compute with."""
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(run.model_dump_json(), encoding="utf-8")
    groups, steps = run.layout.federation, run.training.steps
    tokens = run.world * run.batch_size * run.training.sequence_length
    seconds = [0.1 * noise.uniform(0.9, 1.1) for _ in range(steps)]
    losses = [2.5 + 3 * 0.9**step * noise.uniform(0.99, 1.01) for step in range(steps)]
    of_rows = [(step, group) for step in range(steps) for group in range(groups)]
    table = {
        "step": [step for step, _ in of_rows],
        "group": [group for _, group in of_rows],
        "seconds": [seconds[step] for step, _ in of_rows],
        "tokens": [tokens // groups] * len(of_rows),
        "loss": [losses[step] for step, _ in of_rows],
        "learning_rate": [1e-4] * len(of_rows),
        "in_window": [step >= run.first_window_step for step, _ in of_rows],
    }
    inside = seconds[run.first_window_step :]
    blocks = [sum(inside[first : first + run.block]) for first in range(0, len(inside), run.block)]
    first, middle, last = np.percentile(inside, [25, 50, 75])
    measured = a_measurement(1.0, run.nodes)
    trained = tokens * steps
    agreeing = {
        "window": measured.window.model_copy(
            update={
                "first_step": run.first_window_step,
                "steps": run.window_steps,
                "block": run.block,
                "tokens": tokens * run.window_steps,
                "seconds": sum(blocks),
                "block_tokens_per_s": [tokens * run.block / each for each in blocks],
                "step_s_quartiles": (float(first), float(middle), float(last)),
            }
        ),
        "loss": measured.loss.model_copy(update={"first": losses[0], "final": sum(losses[-run.block :]) / run.block}),
        "parameters": run.shape.parameters,
        "tokens_per_step": tokens,
        "trained_tokens": trained,
        "distinct_tokens": trained,
        "utilisation": measured.utilisation.model_copy(update={"matmul_flops": 4e14}),
        "steps_digest": write_steps(folder / "steps.parquet", pa.table(table)),
    }
    result = a_result(run.id, measured.model_copy(update=agreeing), seconds=1 + sum(seconds))
    (folder / "result.json").write_text(result.model_dump_json(), encoding="utf-8")


@pytest.fixture(scope="module", params=(1_000, 10_000, 100_000))
def sweep(request: pytest.FixtureRequest, data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, Path]:
    """The size of a sweep, and the folder of its files; its runs have completed in `results/large`."""
    size, folder = request.param, tmp_path_factory.mktemp("sizes")
    matrix, noise = load_sweep(write_sweep(folder, data, request.param)), random.Random(1)
    planned = make_plan(matrix, load_system(folder / "system.yaml"))
    assert len(planned.runs) == size
    for run in planned.runs.values():
        write_made_up(run, noise, folder / "results" / "large" / "runs" / run.id)
    write_document(folder / "results" / "large" / "plan.json", planned.plan)
    if size == 1_000:
        assert not load(folder / "results" / "large").problems, "a report without figures would be too cheap"
    return size, folder


@pytest.mark.timeout(600)
def test_opening_the_page(benchmark: BenchmarkFixture, sweep: tuple[int, Path], tmp_path: Path) -> None:
    """Time until a browser has read all of report.html; its size and the first paint are in `extra_info`."""
    size, folder = sweep
    if size > 10_000:
        pytest.skip("the page has the same tables and runs as that of 10,000 runs")
    write_report(folder / "results" / "large", tmp_path, [page])
    file = tmp_path / "report.html"
    with chromium(tmp_path / "profile") as browser:
        benchmark.pedantic(browser.get, (file.as_uri(),), rounds=5, warmup_rounds=1)
        paint = browser.execute_script("return performance.getEntriesByName('first-contentful-paint')[0].startTime")
    benchmark.extra_info.update({"runs": size, "mb": file.stat().st_size / 1e6, "first_paint_s": paint / 1000})


MEASURE = """
import json, os, subprocess, sys
_, status, used = os.wait4(subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL).pid, 0)
print(json.dumps({"cpu_s": used.ru_utime + used.ru_stime, "mib": used.ru_maxrss // 1024}))
sys.exit(os.waitstatus_to_exitcode(status))
"""
"""Executes a command; by a small process, since the largest resident set counts that of the process that forked."""

COMMANDS = {
    "plan": ("plan", "large.yaml", "--results", "none"),
    "run --max-runs 0": ("run", "large.yaml", "--max-runs", "0", "--results", "begun"),
    "status": ("status", "results/large"),
    "report": ("report", "results/large"),
}


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command(benchmark: BenchmarkFixture, sweep: tuple[int, Path], command: str) -> None:
    """Time a whole command, start of Python included; CPU seconds and the largest resident set are in `extra_info`."""
    size, folder = sweep

    def execute() -> dict[str, float]:
        words = [sys.executable, "-P", "-m", "matrix", *COMMANDS[command]]
        measured = subprocess.check_output([sys.executable, "-c", MEASURE, *words], cwd=folder, text=True)
        return dict(json.loads(measured))

    benchmark.extra_info.update({"runs": size, **benchmark.pedantic(execute, rounds=1)})
