"""What a report says of the batch jobs that ran a sweep."""

from __future__ import annotations

import pytest

from bench.contract.results.result import Allocation
from reports.data.frame import load
from reports.render import markdown
from reports.render.write import write_report
from reports.tables.selection import Selection
from tests.support.documents import SweepDocuments, a_measurement

HOSTS = ["node0", "node1", "node2", "node3"]
IN_101 = Allocation(job="101", hosts=HOSTS, switches={"node0": "s0", "node2": "s1"})


def test_a_run_has_its_node_hours_job_and_the_switches_over_its_own_hosts(sweep: SweepDocuments) -> None:
    ids = sweep.run("fsdp", 2)
    sweep.end(ids[0], measured=a_measurement(10_000.0, 2), allocation=IN_101)
    sweep.end(ids[1], measured=a_measurement(10_000.0, 2))
    frame = load(sweep.write()).frame.set_index("run")
    inside, outside = frame.loc[ids[0]], frame.loc[ids[1]]
    assert inside["node_hours"] == outside["node_hours"] == pytest.approx(2 * 12.5 / 3600)
    assert inside["job"] == "101"
    assert inside["switches"] == "node0: s0; node1: unknown"
    assert frame[["job", "switches"]].loc[ids[1]].isna().all()


def test_the_report_says_what_jobs_cost_what_runs_took_of_it_and_which_ended_badly(sweep: SweepDocuments) -> None:
    ids = sweep.run("fsdp", 2)
    sweep.end(ids[0], measured=a_measurement(10_000.0, 2), allocation=IN_101)
    sweep.end(ids[1], measured=a_measurement(10_000.0, 2))  # in no job
    sweep.job(1, "COMPLETED", 50.0, nodes=4)
    for number in (2, 3):
        sweep.job(number, "NODE_FAIL", 25.0)
    sweep.job(4, "TIMEOUT", 0.0)
    for number in (5, 6, 7):
        sweep.job(number, "CANCELLED", 0.0)
    written = write_report(sweep.write(), sweep.path / "report", [markdown])
    said = (
        "7 jobs: 0.083 node-hours, of which 0.007 (8 %) in the runs above and 0.007 (8 %) in nodes idle beside them; "
        "failed jobs: 2 NODE_FAIL, 1 TIMEOUT; cancelled jobs: 3"
    )
    assert written.summary.endswith(f". {said}")
    assert said in written.report.read_text()


def test_a_sweep_without_jobs_says_nothing_of_them_and_a_damaged_end_is_named(sweep: SweepDocuments) -> None:
    sweep.run("fsdp", 2, speeds=[1000.0])
    assert "node-hours" not in write_report(sweep.write(), sweep.path / "report", [markdown]).summary
    path = sweep.job(1, "COMPLETED", 50.0)
    path.write_text("{")
    assert str(path) in load(sweep.path).problems[0]


def test_the_frame_predicts_what_a_step_sends_over_the_network(sweep: SweepDocuments) -> None:
    """llama-tiny in fp32 on nodes of 4 ranks."""
    for strategy in ("fsdp", "hsdp", "federated"):
        sweep.run(strategy, 2)
    frame = load(sweep.write()).frame.set_index("axis.strategy")
    gradients = 4 * 125_248
    hsdp, federated, fsdp = (frame.loc[name].iloc[0] for name in ("hsdp", "federated", "fsdp"))
    assert hsdp["predicted_between_nodes_bytes"] == gradients / 4  # 2 (R - 1) / R of a shard
    assert hsdp["predicted_link_bytes"] == gradients
    assert federated["predicted_link_bytes"] == gradients / 8
    assert federated["predicted_inside_nodes_bytes"] == hsdp["predicted_inside_nodes_bytes"] > 0
    assert fsdp["predicted_inside_nodes_bytes"] == 0
    assert fsdp["predicted_between_nodes_bytes"] == fsdp["predicted_link_bytes"] > 2 * gradients


def test_a_selection_counts_the_time_of_its_own_runs(sweep: SweepDocuments) -> None:
    for strategy in ("fsdp", "hsdp"):
        for identity in sweep.run(strategy, 2):
            sweep.end(identity, measured=a_measurement(10_000.0, 2), allocation=IN_101)
    sweep.job(1, "COMPLETED", 75.0, nodes=4)
    selection = Selection(lambda labels: labels["strategy"] == "fsdp", filters=("strategy=fsdp",))
    written = write_report(sweep.write(), sweep.path / "report", [markdown], selection)
    assert written.summary == (
        "Sweep hand-made, 3 of 6 runs (selection: strategy=fsdp): 3 completed. 1 job: 0.083 node-hours, of which 0.021 "
        "(25 %) in the runs above and 0.021 (25 %) in nodes idle beside them"
    )
