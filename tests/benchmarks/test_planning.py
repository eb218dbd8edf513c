"""Planning and reporting of 10,000 runs. `make bench`; nothing here passes or fails by its time."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pytest_benchmark.fixture import BenchmarkFixture

from bench.contract.storage.files import write_document
from matrix.config.load import load_sweep
from matrix.config.system import SystemFile
from matrix.planning.plan import PlannedSweep, make_plan
from reports.render.write import write_report
from tests.support.documents import a_measurement, a_result

SYSTEM = SystemFile(name="large", device="cuda", nodes=1024, ranks_per_node=4)
MATRIX = {
    "name": "large",
    "axes": {
        "model": ["llama3.1-8b", "llama3.1-70b", "mixtral-8x7b"],
        "strategy": ["fsdp", "hsdp", "federated", "federated-hsdp", "ddp"],
        "nodes": [2**power for power in range(2, 11)],
        "batch_size": [1, 2, 4, 8],
        "sequence_length": [2048, 4096, 8192],
        "precision": ["fp32", "bf16"],
    },
    "strategies": {
        "hsdp": {"shard": "node"},
        "federated": {"groups": 2, "every": 8},
        "federated-hsdp": {"groups": 2, "shard": "node", "every": 8},
    },
    "repeats": 3,
    "data": {"path": "data"},
}


def planned(folder: Path) -> PlannedSweep:
    file = folder / "large.yaml"
    file.write_text(yaml.safe_dump(MATRIX), encoding="utf-8")
    return make_plan(load_sweep(file), SYSTEM)


def test_plan_10_000_runs(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    found = benchmark.pedantic(planned, args=(tmp_path,), rounds=3)
    assert len(found.runs) > 9000
    benchmark.extra_info["runs"] = len(found.runs)


@pytest.fixture
def large_sweep(tmp_path: Path) -> Path:
    """A folder of made-up results for every run of the plan."""
    found = planned(tmp_path)
    sweep = tmp_path / "results"
    for run in found.runs.values():
        folder = sweep / "runs" / run.id
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(run.model_dump_json(), encoding="utf-8")
        result = a_result(run.id, a_measurement(1000.0 * run.nodes, run.nodes), seconds=10.0)
        (folder / "result.json").write_text(result.model_dump_json(), encoding="utf-8")
    write_document(sweep / "plan.json", found.plan)
    return sweep


@pytest.mark.timeout(600)
def test_report_10_000_runs(benchmark: BenchmarkFixture, large_sweep: Path, tmp_path: Path) -> None:
    written = benchmark.pedantic(write_report, args=(large_sweep, tmp_path / "report"), rounds=1)
    # Made-up runs have no steps, and only the first tables are plotted; no other fault is expected.
    assert all("plotted" in problem for problem in written.problems), written.problems
    benchmark.extra_info["tables"] = len(written.tables)
