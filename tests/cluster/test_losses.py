"""Runs that a job does not finish: done again in another, and blamed only for what may be their doing."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.contract.results.outcomes import Outcome
from tests.support.cluster import Cluster, need_parts
from tests.support.cluster_sweeps import ClusterSweep
from tests.support.sweeps import wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

LONG = 300
"""Steps of a run that something is to happen to: a few seconds, in which it is stopped."""


@pytest.mark.soak  # with the scheduler shell: make test
def test_a_run_that_takes_two_jobs_with_it_is_given_up(cluster_sweep: ClusterSweep) -> None:
    """Here by their time limit; the others of its sweep are not."""
    cluster_sweep.write(["ddp", "federated"], steps=LONG)
    with cluster_sweep.following() as process:
        first = cluster_sweep.stopped_run()
        cluster_sweep.cluster.say("scontrol", "update", f"jobid={cluster_sweep.ids[0]}", "EndTime=now")
        assert cluster_sweep.stopped_run(attempt=1) == first
        cluster_sweep.cluster.say("scontrol", "update", f"jobid={cluster_sweep.ids[1]}", "EndTime=now")
        output, _ = process.communicate(timeout=300)
    assert process.returncode == 1, output
    assert [end and end.state for end in cluster_sweep.ends] == ["TIMEOUT", "TIMEOUT", "COMPLETED"]
    earlier, given_up = cluster_sweep.attempts(first)
    assert (earlier.outcome, earlier.lost_to) == (Outcome.INTERRUPTED, "TIMEOUT")
    assert f"job {cluster_sweep.ids[0]} ended: TIMEOUT (time limit reached)" in earlier.reason
    assert given_up.outcome is Outcome.TIMEOUT
    assert "not retried: 2 jobs died during this run (TIMEOUT, TIMEOUT)" in given_up.reason
    assert f"attempt 0: {earlier.reason}" in given_up.evidence
    assert sorted(cluster_sweep.outcomes().values()) == [Outcome.COMPLETED, Outcome.TIMEOUT]
    assert not cluster_sweep.left()


def test_a_host_that_does_not_answer(cluster_sweep: ClusterSweep) -> None:
    """Long before Slurm takes it for dead: the job ends by itself, and costs none of its runs."""
    cluster_sweep.cluster.configure(SlurmdTimeout=300)
    cluster_sweep.write(["ddp", "federated"], steps=LONG)
    try:
        with cluster_sweep.following() as process:
            run_id = cluster_sweep.stopped_run()
            cluster_sweep.cluster.unplug("node1")
            for rank in cluster_sweep.ranks():
                os.kill(rank, signal.SIGKILL)
            cluster_sweep.go_on()
            output, _ = process.communicate(timeout=300)
    finally:
        cluster_sweep.cluster.plug("node1")
        cluster_sweep.cluster.configure(SlurmdTimeout=10)
    assert process.returncode == 0, output + cluster_sweep.logs()
    assert list(cluster_sweep.outcomes().values()) == [Outcome.COMPLETED] * 2
    before, after = cluster_sweep.attempts(run_id)
    assert (before.outcome, before.lost_to) == (Outcome.INTERRUPTED, "NODE_FAIL")
    assert "node1" in before.reason
    assert after.measured is not None
    assert "node1" not in after.measured.provenance.hosts
    (first, _) = cluster_sweep.ends
    assert first is not None
    assert first.state == "NODE_FAIL"
    assert "node1" in first.said
    assert sum(len(cluster_sweep.attempts(each)) for each in cluster_sweep.outcomes()) == 3, (
        "no other run was tried there"
    )
    assert wait_for(lambda: not cluster_sweep.left()), "what the cut-off host had left"


@pytest.mark.soak  # one that stops answering later is tested above
def test_a_host_that_does_not_answer_before_the_first_run(cluster: Cluster, tmp_path: Path, data: Path) -> None:
    """The preflight finds it."""
    began = tmp_path / "began"
    pause = f"[ -e {began} ] || {{ touch {began}; sleep 2; }}"
    sweep = ClusterSweep(cluster, tmp_path, data, slurm={"preflight": True, "setup": [pause]})
    cluster.configure(SlurmdTimeout=300)
    sweep.write(["ddp"])
    try:
        with sweep.following() as process:
            assert wait_for(began.exists)
            cluster.unplug("node1")
            output, _ = process.communicate(timeout=300)
    finally:
        cluster.plug("node1")
        cluster.configure(SlurmdTimeout=10)
    assert process.returncode == 0, output + sweep.logs()
    states = [(end.state, end.said) for end in sweep.ends if end is not None]
    assert [state for state, _ in states] == ["NODE_FAIL", "COMPLETED"]
    assert "node1 did not answer" in states[0][1]
    assert [result.attempt for result in sweep.found().values()] == [0], "no run was tried there"


def test_a_job_that_was_warned_begins_nothing_more(cluster_sweep: ClusterSweep) -> None:
    """By the signal that sbatch was asked to have sent."""
    cluster_sweep.write(["ddp", "federated"], steps=LONG)
    with cluster_sweep.following() as process:
        run_id = cluster_sweep.stopped_run()
        cluster_sweep.cluster.say("scancel", "--batch", "--signal=USR1", str(cluster_sweep.ids[0]))
        cluster_sweep.go_on()
        output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output + cluster_sweep.logs()
    assert "it may take 100 s, and the job ends in" in cluster_sweep.logs(), (
        "Slurm's own word is that there are minutes"
    )
    jobs = {each: result.allocation.job for each, result in cluster_sweep.found().items() if result.allocation}
    assert sorted(jobs.values()) == sorted(map(str, cluster_sweep.ids)), "one run in each of two jobs"
    assert jobs[run_id] == str(cluster_sweep.ids[0]), "the active run finished"
    assert all(len(cluster_sweep.attempts(each)) == 1 for each in jobs)


@pytest.mark.soak
def test_a_job_that_slurm_has_forgotten_is_told_by_its_log(cluster_sweep: ClusterSweep) -> None:
    """Nobody followed it; Slurm looks for what it may forget once a minute."""
    cluster_sweep.write(["ddp"], steps=30_000)
    assert cluster_sweep.call("--detach").returncode == 0
    run_id = cluster_sweep.training_run()
    (job,) = cluster_sweep.ids
    cluster_sweep.cluster.say("scancel", str(job))
    cluster_sweep.cluster.configure(MinJobAge=2)
    try:
        assert wait_for(lambda: not cluster_sweep.cluster.run(["squeue", "-ht", "all", "-j", str(job)]).stdout, 150)
        cluster_sweep.write(["ddp"], steps=6)
        done = cluster_sweep.call("--accept-changes")
    finally:
        cluster_sweep.cluster.configure(MinJobAge=3600)
    assert done.returncode == 0, done.stdout + done.stderr + cluster_sweep.logs()
    (first, *_) = cluster_sweep.ends
    assert first is not None
    assert first.state == "CANCELLED"
    (attempt,) = cluster_sweep.attempts(run_id)
    assert (attempt.outcome, attempt.lost_to) == (Outcome.INTERRUPTED, None)


def test_a_run_that_may_not_be_over_in_time_is_left_to_the_next_job(cluster_sweep: ClusterSweep) -> None:
    cluster_sweep.write(["ddp"], limits={"run_seconds": 200})
    (script,) = [line for line in cluster_sweep.call("--dry-run").stdout.splitlines() if line.endswith("job.sh")]
    short = int(cluster_sweep.cluster.say("sbatch", "--parsable", "--time=3", script))
    done = cluster_sweep.call()
    assert done.returncode == 0, done.stdout + done.stderr + cluster_sweep.logs()
    first, second = cluster_sweep.ids
    assert first == short
    assert "it may take 200 s, and the job ends in" in cluster_sweep.logs()
    (result,) = cluster_sweep.found().values()
    assert result.allocation is not None
    assert (result.attempt, result.allocation.job) == (0, str(second))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for little, which a cluster sees that is begun after it."""
    need_parts()
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", disk], check=True)
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


def fill(file: Path) -> None:
    """Until nothing more fits beside it."""
    with file.open("wb", buffering=0) as raw:
        while True:
            raw.write(bytes(4096))


@pytest.mark.soak  # one without Slurm: make test
def test_a_full_file_system(small_disk: Path, tmp_path: Path, data: Path) -> None:
    """What was finished stays, the rest is done once there is room, and no run is blamed for it."""
    cluster = Cluster(tmp_path / "cluster", nodes=2)
    try:
        sweep = ClusterSweep(cluster, small_disk, data)
        sweep.write(["ddp", "federated"], steps=LONG)
        for attempt in range(2):  # which a run under way would have to answer for, if it were its doing
            with sweep.following() as process:
                run_id = sweep.stopped_run(attempt)
                filler = small_disk / "filler"
                with pytest.raises(OSError, match="No space left"):
                    fill(filler)
                sweep.go_on()
                output, _ = process.communicate(timeout=300)
            assert process.returncode == 1, output
            assert f"{small_disk}" in output
            assert "No space left on device; finished runs are kept" in output
            filler.unlink()
            assert wait_for(lambda: not sweep.left())
        done = sweep.call()
        assert done.returncode == 0, done.stdout + done.stderr + sweep.logs()
        assert list(sweep.outcomes().values()) == [Outcome.COMPLETED] * 2
        assert len(sweep.attempts(run_id)) == 3
        assert all(each.lost_to is None for each in sweep.attempts(run_id))
    finally:
        cluster.close()
