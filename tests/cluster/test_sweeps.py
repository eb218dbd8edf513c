"""Sweeps through sbatch, and what can happen to them: nothing lost, nothing run twice, nothing left behind."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from pathlib import Path

import pytest

from bench.contract.results.outcomes import Caution, Outcome
from bench.contract.results.preflight import Preflight
from bench.contract.storage.documents import read_document
from matrix.store.jobs import job_folders
from tests.support.cluster import Cluster, alive
from tests.support.cluster_sweeps import ClusterSweep
from tests.support.sweeps import COMMAND

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

LONG = 300
"""Steps of a run that something is to happen to: a few seconds, in which it is stopped."""


def test_both_node_counts_and_what_is_kept(cluster: Cluster, tmp_path: Path, data: Path) -> None:
    sweep = ClusterSweep(cluster, tmp_path, data, nodes=4, slurm={"preflight": True, "job_minutes": 6})
    sweep.write(["fsdp", "federated"], limits={"run_seconds": 60})
    done = sweep.call()
    assert done.returncode == 0, done.stdout + done.stderr + sweep.logs()
    results = sweep.outcomes()
    assert list(results.values()) == [Outcome.COMPLETED] * 2
    for run_id in results:
        result = sweep.folder.result(run_id)
        assert result is not None
        assert result.measured is not None
        assert result.allocation is not None
        assert result.allocation.switches == {"node0": "s0", "node1": "s0", "node2": "s1", "node3": "s1"}
        assert [seat.host for seat in result.measured.provenance.seats] == cluster.nodes
    (end,) = sweep.ends
    assert end is not None
    assert end.state == "COMPLETED"
    assert end.nodes == 4
    assert end.seconds > 0
    assert (sweep.folder.path / "jobs" / "0001" / "preflight.json").exists()
    again = sweep.call()
    assert again.returncode == 0
    assert "not repeated, since a result exists: 2 runs" in again.stdout
    assert len(sweep.ids) == 1
    assert not sweep.left()


def test_nested_runs_use_the_first_nodes_of_one_allocation(cluster: Cluster, tmp_path: Path, data: Path) -> None:
    """The preflight measures all, and finds the slow links of one: a caution of the runs that use them."""
    cluster.shape("100mbit", "node1")
    nested = {"preflight": True, "allocations": 1, "nested": True}
    sweep = ClusterSweep(cluster, tmp_path, data, nodes=4, slurm=nested)
    sweep.write(["fsdp"], limits={"run_seconds": 120, "expected_seconds": 60})
    matrix = sweep.matrix.read_text(encoding="utf-8").replace("nodes: 4", "nodes: [1, 2, 4]")
    matrix += "seed: 2\n"  # the largest run is not the first
    sweep.matrix.write_text(matrix, encoding="utf-8")
    done = sweep.call()
    assert done.returncode == 0, done.stdout + done.stderr + sweep.logs()
    assert "slurm.nested leaves nodes idle in" in done.stdout.replace("\n", " ")
    results = sweep.found()
    assert [result.outcome for result in results.values()] == [Outcome.COMPLETED] * 3
    assert len({result.session for result in results.values()}) == 1
    hosts = {
        len(found.hosts): found.hosts
        for each in results.values()
        if each.measured
        if (found := each.measured.provenance)
    }
    assert hosts == {count: cluster.nodes[:count] for count in (1, 2, 4)}
    (job,) = job_folders(sweep.folder)
    assert job.order().nodes == 4 > job.order().runs[0].nodes
    assert [run.id for run in job.order().runs] == sweep.folder.plan().order
    preflight = read_document(job.preflight, Preflight)
    assert [node.host for node in preflight.nodes] == cluster.nodes
    slow = {"node0 and node1", "node1 and node2"}
    of_nodes: dict[int, set[str]] = {1: set(), 2: {"node0 and node1"}, 4: slow}
    for run_id, result in results.items():
        sentences = [each for each in result.slow_hosts if each.startswith("the link between ")]
        nodes = sweep.folder.requested_run(run_id).nodes
        assert {each.removeprefix("the link between ").partition(" has ")[0] for each in sentences} == of_nodes[nodes]
        assert (Caution.SLOW_HOST in result.cautions) == bool(result.slow_hosts)
    assert not sweep.left()


def test_a_power_cut(cluster_sweep: ClusterSweep) -> None:
    """The job dies with the node, and a later job does it again on others."""
    cluster_sweep.write(["ddp"], steps=LONG)
    with cluster_sweep.following() as process:
        run_id = cluster_sweep.stopped_run()
        (job,) = cluster_sweep.ids
        cluster_sweep.cluster.power_cut("node1")
        cluster_sweep.starts_again_now(job)
        output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output + cluster_sweep.logs()
    last = cluster_sweep.folder.result(run_id)
    assert last is not None
    assert last.outcome is Outcome.COMPLETED
    assert last.measured is not None
    assert "node1" not in last.measured.provenance.hosts
    first, *_ = cluster_sweep.attempts(run_id)
    assert first.outcome is Outcome.INTERRUPTED
    assert first.lost_to == "NODE_FAIL"
    assert not cluster_sweep.left()


def test_cancelled_jobs_stay_cancelled(cluster_sweep: ClusterSweep) -> None:
    """Also those that an earlier call submitted, and did not follow."""
    cluster_sweep.write(["ddp", "fsdp"], steps=LONG)
    assert "submitted" in cluster_sweep.call("--detach").stdout
    with cluster_sweep.following() as process:
        run_id = cluster_sweep.stopped_run()
        said = cluster_sweep.cluster.run(
            [*COMMAND, "cancel", cluster_sweep.folder.path], env=cluster_sweep.variables
        ).stdout
        output, _ = process.communicate(timeout=300)
    assert f"cancelled: {cluster_sweep.ids[0]}" in said
    assert process.returncode == 1, output
    assert "was cancelled" in output
    (end,) = cluster_sweep.ends
    assert end is not None
    assert end.state == "CANCELLED"
    (attempt,) = cluster_sweep.attempts(run_id)
    assert attempt.outcome is Outcome.INTERRUPTED
    assert "cancelled by a user" in attempt.reason
    assert attempt.lost_to is None
    assert not cluster_sweep.left()


def test_preemption(cluster_sweep: ClusterSweep) -> None:
    """Slurm starts the same job again, which goes on where it was."""
    cluster_sweep.write(["ddp"], steps=LONG)
    with cluster_sweep.following() as process:
        run_id = cluster_sweep.stopped_run()
        (job,) = cluster_sweep.ids
        other = cluster_sweep.cluster.sbatch("true", "--nodes=4", "--partition=urgent")
        cluster_sweep.cluster.job_becomes(other, "COMPLETED")
        cluster_sweep.starts_again_now(job)
        output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output + cluster_sweep.logs()
    assert cluster_sweep.ids == [job]
    first, second = cluster_sweep.attempts(run_id)
    assert (first.outcome, second.outcome) == (Outcome.INTERRUPTED, Outcome.COMPLETED)
    assert "PREEMPTED" in first.reason
    assert first.lost_to is None, "it is not the run's doing"
    assert not cluster_sweep.left()


@pytest.mark.soak  # without Slurm: make test
def test_a_killed_rank(cluster_sweep: ClusterSweep) -> None:
    """It is named, the others of its run are ended, and the next run goes on in the same job."""
    cluster_sweep.write(["ddp", "fsdp"], steps=LONG)
    with cluster_sweep.following() as process:
        run_id = cluster_sweep.stopped_run()
        os.kill(cluster_sweep.ranks()[-1], signal.SIGKILL)
        cluster_sweep.go_on()
        output, _ = process.communicate(timeout=300)
    assert process.returncode == 1, output
    results = cluster_sweep.outcomes()
    assert sorted(results.values()) == [Outcome.COMPLETED, Outcome.CRASHED]
    failed = cluster_sweep.folder.result(run_id)
    assert failed is not None
    assert "by signal 9" in failed.reason
    assert len(cluster_sweep.ids) == 1
    assert not cluster_sweep.left()


def test_runners_that_are_killed_and_two_at_once(cluster_sweep: ClusterSweep) -> None:
    cluster_sweep.write(["ddp"], steps=LONG)
    with cluster_sweep.following() as process:
        cluster_sweep.stopped_run()
        process.send_signal(signal.SIGKILL)
        process.wait(20)
    jobs = cluster_sweep.ids
    cluster_sweep.go_on()
    with cluster_sweep.following() as one, cluster_sweep.following() as other:
        outputs = [each.communicate(timeout=300)[0] for each in (one, other)]
    assert (one.returncode, other.returncode) == (0, 0), outputs
    assert cluster_sweep.ids == jobs, "no job was submitted twice"
    assert all(len(cluster_sweep.attempts(run_id)) == 1 for run_id in cluster_sweep.outcomes())
    assert not cluster_sweep.left()


def test_an_allocation_is_used_directly(cluster_sweep: ClusterSweep) -> None:
    cluster_sweep.write(["ddp"])
    words = ["salloc", "--nodes=2", "--exclusive", *cluster_sweep.command()]
    done = cluster_sweep.cluster.run(words, env=cluster_sweep.variables, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(cluster_sweep.outcomes().values()) == [Outcome.COMPLETED]
    assert cluster_sweep.ids == []
    refused = cluster_sweep.cluster.run(
        ["salloc", "--nodes=1", *cluster_sweep.command("--retry-failed")], env=cluster_sweep.variables
    )
    assert refused.returncode == 2
    assert "has 1 nodes" in refused.stderr


@pytest.mark.soak  # without Slurm: make test
def test_a_runner_killed_in_an_allocation_leaves_nothing_to_the_next(
    cluster_sweep: ClusterSweep, tmp_path: Path
) -> None:
    """On no host of it."""
    cluster_sweep.write(["ddp"], steps=LONG)
    now, call = tmp_path / "now", shlex.join(cluster_sweep.command())
    script = f"{call} & until [ -e {now} ]; do sleep 0.1; done; kill -9 $!; {call}"
    words = ["salloc", "--nodes=2", "--exclusive", "bash", "-c", script]
    with cluster_sweep.cluster.popen(
        words, env=cluster_sweep.variables, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ) as process:
        run_id = cluster_sweep.stopped_run()
        stopped = cluster_sweep.agents_and_ranks()
        now.touch()
        output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert [result.outcome for result in cluster_sweep.attempts(run_id)] == [Outcome.INTERRUPTED, Outcome.COMPLETED]
    assert len(stopped) >= 4, "an agent and a rank on each host"
    assert not any(map(alive, stopped))


def test_a_job_of_ones_own(cluster_sweep: ClusterSweep) -> None:
    """Written by --dry-run, submitted by hand, and found by the next runner."""
    cluster_sweep.write(["ddp"])
    (script,) = [line for line in cluster_sweep.call("--dry-run").stdout.splitlines() if line.endswith("job.sh")]
    job = int(cluster_sweep.cluster.say("sbatch", "--parsable", script))
    done = cluster_sweep.call()
    assert done.returncode == 0, done.stdout + done.stderr + cluster_sweep.logs()
    assert cluster_sweep.ids == [job]
    assert list(cluster_sweep.outcomes().values()) == [Outcome.COMPLETED]


def test_sbatch_that_refuses_is_a_sentence(cluster: Cluster, tmp_path: Path, data: Path) -> None:
    sweep = ClusterSweep(cluster, tmp_path, data, slurm={"partition": "nowhere"})
    sweep.write(["ddp"])
    refused: subprocess.CompletedProcess[str] = sweep.call()
    assert refused.returncode == 2
    assert "sbatch refused a job of 2 nodes" in refused.stderr
    assert "partition" in refused.stderr
    costly = ClusterSweep(cluster, tmp_path, data, slurm={"confirm_node_hours": 0.01})
    costly.write(["ddp"])
    asked = costly.call("--accept-changes")
    assert asked.returncode == 2
    assert "use --yes" in asked.stderr
    assert costly.ids == []


def test_a_job_that_does_not_start(cluster: Cluster, tmp_path: Path, data: Path) -> None:
    later = {"sbatch": ["--begin=now+1hour"], "queue_hours": 0.0003}
    sweep = ClusterSweep(cluster, tmp_path, data, slurm=later)
    sweep.write(["ddp"])
    done = sweep.call()
    assert done.returncode == 1
    assert "PENDING (BeginTime)" in done.stdout
    assert "has not started within slurm.queue_hours" in done.stdout
    assert "1 run left" in done.stdout
    (end,) = sweep.ends
    assert end is not None
    assert (end.state, end.seconds) == ("CANCELLED", 0)
    assert end.said.startswith("has not started within slurm.queue_hours"), "no user has cancelled it"
