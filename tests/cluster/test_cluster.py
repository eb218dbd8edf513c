"""The virtual cluster that the tests of Slurm run on: it does what a real one does, and ends."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from bench.host.process import OWNER
from tests.support.cluster import Cluster, alive, need_parts
from tests.support.sweeps import wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]
SENT = 4_000_000  # bytes


def test_a_job_over_all_nodes(cluster: Cluster) -> None:
    assert [cluster.node_state(node) for node in cluster.nodes] == ["idle"] * 4
    job = cluster.sbatch("hostname; srun sh -c 'echo $SLURMD_NODENAME $(hostname) $SLURM_TOPOLOGY_ADDR'", "--nodes=4")
    cluster.job_becomes(job, "COMPLETED")
    switches = {"node0": "s0", "node1": "s0", "node2": "s1", "node3": "s1"}
    steps = [f"{node} {node} root.{switch}.{node}" for node, switch in switches.items()]
    assert sorted(cluster.printed(job).splitlines()) == sorted(["node0", *steps])


def test_ssh_between_hosts(cluster: Cluster) -> None:
    assert cluster.say("ssh", "node2", "ssh node3 hostname") == "node3"
    assert cluster.say("ssh", *cluster.ssh_options, "node1", "hostname") == "node1"


def test_signals_reach_what_was_started(cluster: Cluster, tmp_path: Path) -> None:
    said = tmp_path / "said"
    script = f"trap 'echo ended >{said}; exit 3' TERM; echo begun >{said}; while :; do sleep 0.01; done"
    with cluster.popen(["bash", "-c", script]) as process:
        assert wait_for(said.exists)
        process.terminate()
    assert (process.returncode, said.read_text(encoding="utf-8")) == (3, "ended\n")


def test_a_preempted_job_is_queued_again(cluster: Cluster) -> None:
    first = cluster.sbatch("sleep 300", "--nodes=4", "--exclusive")
    cluster.job_becomes(first, "RUNNING")
    second = cluster.sbatch("true", "--nodes=2", "--partition=urgent")
    cluster.job_becomes(second, "COMPLETED")
    cluster.job_becomes(first, "PENDING", "RUNNING")
    assert "Restarts=1" in cluster.say("scontrol", "show", "job", str(first))


def test_a_power_cut_and_what_comes_after(cluster: Cluster) -> None:
    mark = "cluster/power"
    wait = "srun --nodes=4 --ntasks-per-node=1 sleep 300"
    job = cluster.sbatch(f"export {OWNER}={mark}\n{wait}", "--nodes=4", "--no-requeue")
    assert wait_for(lambda: len(cluster.processes(mark)) >= 6), cluster.processes(mark)  # 4 tasks, srun, its helper
    assert not cluster.processes("another/")
    cluster.power_cut("node2")
    cluster.job_becomes(job, "NODE_FAIL")
    assert cluster.node_state("node2") == "down*"
    assert wait_for(lambda: not cluster.processes(mark))
    cluster.boot("node2")
    after = cluster.sbatch("srun hostname", "--nodes=4")
    cluster.job_becomes(after, "COMPLETED")
    assert sorted(cluster.printed(after).split()) == cluster.nodes


def transfer(cluster: Cluster, to: str) -> float:
    """Seconds that some bytes take from node0 to a host, connection and all."""
    began = time.monotonic()
    done = cluster.run(["sh", "-c", f"head -c {SENT} /dev/zero | ssh {to} wc -c"], host="node0")
    assert done.stdout.split() == [str(SENT)], done.stderr
    return time.monotonic() - began


def fastest(cluster: Cluster, to: str) -> float:
    """The shortest of some transfers: other work delays single ones by far more than a shaped link does."""
    return min(transfer(cluster, to) for _ in range(3))


def test_shaped_links(cluster: Cluster) -> None:
    rate = 8  # Mbit/s: so little that connecting takes no part of it
    cluster.shape(f"{rate}mbit")
    theory = SENT * 8 / (rate * 1e6)
    assert transfer(cluster, "node3") > 0.9 * theory
    assert fastest(cluster, "node0") < 0.7 * theory, "over loopback"
    cluster.shape("off")
    assert fastest(cluster, "node3") < 0.7 * theory


def test_everything_ends(tmp_path: Path) -> None:
    need_parts()
    cluster = Cluster(tmp_path / "one", nodes=1)
    mark = "cluster/end"
    job = cluster.sbatch(f"{OWNER}={mark} sleep 300")
    cluster.job_becomes(job, "RUNNING")
    assert wait_for(lambda: cluster.processes(mark))
    (pid,) = cluster.processes(mark)
    cluster.close()
    assert not alive(pid)
    mounts = Path("/proc/self/mounts").read_text(encoding="utf-8")
    assert str(tmp_path) not in mounts


def test_it_ends_with_its_test(tmp_path: Path) -> None:
    """Also where the test is killed, and cannot close anything."""
    need_parts()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        cluster = Cluster(tmp_path / "one", nodes=1)
        os.write(writer, str(cluster.say("hostname") == "login" and cluster.first_process("node0")).encode())
        signal.pause()
    first = int(os.read(reader, 20))
    assert alive(first)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert wait_for(lambda: not alive(first))
