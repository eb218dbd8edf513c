"""Sweeps through sbatch, and what can happen to them: nothing lost, nothing run twice, nothing left behind."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from pathlib import Path

import pytest

from bench.contract.outcomes import Outcome
from tests.cluster.cluster import Cluster, alive
from tests.cluster.sweeps import ClusterSweep
from tests.support.sweeps import COMMAND

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

LONG = 300
"""Steps of a run that something is to happen to: a few seconds, in which it is stopped."""


@pytest.fixture
def sweep(cluster: Cluster, tmp_path: Path, data: Path) -> ClusterSweep:
    return ClusterSweep(cluster, tmp_path, data)


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
    assert "2 runs had their result already" in again.stdout
    assert len(sweep.ids) == 1
    assert not sweep.left()


def test_a_power_cut(sweep: ClusterSweep) -> None:
    """The job dies with the node, and a later job does it again on others."""
    sweep.write(["ddp"], steps=LONG)
    with sweep.following() as process:
        run_id = sweep.stopped_run()
        (job,) = sweep.ids
        sweep.cluster.power_cut("node1")
        sweep.starts_again_now(job)
        output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output + sweep.logs()
    last = sweep.folder.result(run_id)
    assert last is not None
    assert last.outcome is Outcome.COMPLETED
    assert last.measured is not None
    assert "node1" not in last.measured.provenance.hosts
    first, *_ = sweep.attempts(run_id)
    assert first.outcome is Outcome.INTERRUPTED
    assert first.lost_to == "NODE_FAIL"
    assert not sweep.left()


def test_cancelled_jobs_stay_cancelled(sweep: ClusterSweep) -> None:
    """Also those that an earlier call submitted, and did not follow."""
    sweep.write(["ddp", "fsdp"], steps=LONG)
    assert "submitted" in sweep.call("--detach").stdout
    with sweep.following() as process:
        run_id = sweep.stopped_run()
        said = sweep.cluster.run([*COMMAND, "cancel", sweep.folder.path], env=sweep.variables).stdout
        output, _ = process.communicate(timeout=150)
    assert f"cancelled: {sweep.ids[0]}" in said
    assert process.returncode == 1, output
    assert "was cancelled" in output
    (end,) = sweep.ends
    assert end is not None
    assert end.state == "CANCELLED"
    (attempt,) = sweep.attempts(run_id)
    assert attempt.outcome is Outcome.INTERRUPTED
    assert "somebody cancelled it" in attempt.reason
    assert attempt.lost_to is None
    assert not sweep.left()


def test_preemption(sweep: ClusterSweep) -> None:
    """Slurm starts the same job again, which goes on where it was."""
    sweep.write(["ddp"], steps=LONG)
    with sweep.following() as process:
        run_id = sweep.stopped_run()
        (job,) = sweep.ids
        other = sweep.cluster.sbatch("true", "--nodes=4", "--partition=urgent")
        sweep.cluster.job_becomes(other, "COMPLETED")
        sweep.starts_again_now(job)
        output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output + sweep.logs()
    assert sweep.ids == [job]
    first, second = sweep.attempts(run_id)
    assert (first.outcome, second.outcome) == (Outcome.INTERRUPTED, Outcome.COMPLETED)
    assert "PREEMPTED" in first.reason
    assert first.lost_to is None, "it is not the run's doing"
    assert not sweep.left()


def test_a_killed_rank(sweep: ClusterSweep) -> None:
    """It is named, the others of its run are ended, and the next run goes on in the same job."""
    sweep.write(["ddp", "fsdp"], steps=LONG)
    with sweep.following() as process:
        run_id = sweep.stopped_run()
        os.kill(sweep.ranks()[-1], signal.SIGKILL)
        sweep.go_on()
        output, _ = process.communicate(timeout=150)
    assert process.returncode == 1, output
    results = sweep.outcomes()
    assert sorted(results.values()) == [Outcome.COMPLETED, Outcome.CRASHED]
    failed = sweep.folder.result(run_id)
    assert failed is not None
    assert "by signal 9" in failed.reason
    assert len(sweep.ids) == 1
    assert not sweep.left()


def test_runners_that_are_killed_and_two_at_once(sweep: ClusterSweep) -> None:
    sweep.write(["ddp"], steps=LONG)
    with sweep.following() as process:
        sweep.stopped_run()
        process.send_signal(signal.SIGKILL)
        process.wait(20)
    jobs = sweep.ids
    sweep.go_on()
    with sweep.following() as one, sweep.following() as other:
        outputs = [each.communicate(timeout=150)[0] for each in (one, other)]
    assert (one.returncode, other.returncode) == (0, 0), outputs
    assert sweep.ids == jobs, "no job was submitted twice"
    assert all(len(sweep.attempts(run_id)) == 1 for run_id in sweep.outcomes())
    assert not sweep.left()


def test_an_allocation_is_used_directly(sweep: ClusterSweep) -> None:
    sweep.write(["ddp"])
    words = ["salloc", "--nodes=2", "--exclusive", *sweep.command()]
    done = sweep.cluster.run(words, env=sweep.variables, timeout=150)
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(sweep.outcomes().values()) == [Outcome.COMPLETED]
    assert sweep.ids == []
    refused = sweep.cluster.run(["salloc", "--nodes=1", *sweep.command("--retry-failed")], env=sweep.variables)
    assert refused.returncode == 2
    assert "has 1 nodes" in refused.stderr


def test_a_runner_killed_in_an_allocation_leaves_nothing_to_the_next(sweep: ClusterSweep, tmp_path: Path) -> None:
    """On no host of it."""
    sweep.write(["ddp"], steps=LONG)
    now, call = tmp_path / "now", shlex.join(sweep.command())
    script = f"{call} & until [ -e {now} ]; do sleep 0.1; done; kill -9 $!; {call}"
    words = ["salloc", "--nodes=2", "--exclusive", "bash", "-c", script]
    with sweep.cluster.popen(words, env=sweep.variables, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        run_id = sweep.stopped_run()
        stopped = sweep.agents_and_ranks()
        now.touch()
        output, _ = process.communicate(timeout=150)
    assert process.returncode == 0, output
    assert [result.outcome for result in sweep.attempts(run_id)] == [Outcome.INTERRUPTED, Outcome.COMPLETED]
    assert len(stopped) >= 4, "an agent and a rank on each host"
    assert not any(map(alive, stopped))


def test_a_job_of_ones_own(sweep: ClusterSweep) -> None:
    """Written by --dry-run, submitted by hand, and found by the next runner."""
    sweep.write(["ddp"])
    (script,) = [line for line in sweep.call("--dry-run").stdout.splitlines() if line.endswith("job.sh")]
    job = int(sweep.cluster.say("sbatch", "--parsable", script))
    done = sweep.call()
    assert done.returncode == 0, done.stdout + done.stderr + sweep.logs()
    assert sweep.ids == [job]
    assert list(sweep.outcomes().values()) == [Outcome.COMPLETED]


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
    assert "pass --yes" in asked.stderr
    assert costly.ids == []


def test_a_job_that_does_not_start(cluster: Cluster, tmp_path: Path, data: Path) -> None:
    later = {"sbatch": ["--begin=now+1hour"], "queue_hours": 0.0003}
    sweep = ClusterSweep(cluster, tmp_path, data, slurm=later)
    sweep.write(["ddp"])
    done = sweep.call()
    assert done.returncode == 1
    assert "PENDING (BeginTime)" in done.stdout
    assert "has not started within slurm.queue_hours" in done.stdout
    assert "1 runs left" in done.stdout
    (end,) = sweep.ends
    assert end is not None
    assert (end.state, end.seconds) == ("CANCELLED", 0)
