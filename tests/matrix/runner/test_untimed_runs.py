"""A real sweep with breakdown runs and profile runs, from the plan to the report."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from bench.contract.results.breakdown import Part
from bench.contract.run import Run
from reports.data.frame import load
from reports.render.write import write_report
from tests.support.sweeps import SmallSweep


@pytest.mark.soak
def test_breakdown_and_profile_runs_of_a_real_sweep(tmp_path: Path, data: Path) -> None:
    sweep = SmallSweep(tmp_path, data)
    sweep.write(["fsdp", "federated"], steps=12)
    with sweep.matrix.open("a", encoding="utf-8") as file:
        file.write("breakdown: 1\n")
    planned = sweep.call("plan", str(sweep.matrix))
    assert "2 runs of 2 combinations, 1 repeat; " in planned
    assert planned.count("; besides, not timed: 2 breakdown runs\n") == 1
    sweep.run()
    order = sweep.folder.plan().order
    assert list(sweep.outcomes().values()) == ["completed"] * 4
    found = sweep.found()
    for run_id in order[:2]:
        measured = found[run_id].measured
        assert measured is not None
        assert measured.breakdown is None
    started = [found[run_id].position or 0 for run_id in order]
    assert started == sorted(started), "breakdown runs are last"
    for run_id in order[2:]:
        measured = found[run_id].measured
        assert measured is not None
        assert measured.breakdown is not None
        parts = {part: time.mean for part, time in measured.breakdown.parts.items()}
        assert sum(parts.values()) == pytest.approx(measured.breakdown.step, rel=0.05)
        assert (parts[Part.AVERAGING] > 0) == ("federated" in run_id)
    printed = sweep.run("--profile", "--only", "strategy=federated")
    (trace,) = tmp_path.glob("results/small/runs/*.profile.*/attempts/0/traces/rank00000.json.gz")
    assert f"trace: {trace}" in printed
    events = json.loads(gzip.decompress(trace.read_bytes()))["traceEvents"]
    steps = [event for event in events if str(event.get("name", "")).startswith("Optimizer.step#")]
    assert len(steps) == 3
    run = Run.model_validate_json((trace.parents[3] / "run.json").read_text())
    assert run.purpose == "profile"
    loaded = load(sweep.folder.path)
    assert (loaded.problems, len(loaded.frame), len(loaded.breakdown)) == ([], 2, 2)
    text = write_report(sweep.folder.path, tmp_path / "report").report.read_text()
    assert "| **backward** | fsdp |" in text
    assert "breakdown.svg)" in text
    assert ".profile." not in text
