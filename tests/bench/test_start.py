"""Agents that are started by their command line, one on each node."""

from __future__ import annotations

import hashlib
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.contract.agent import NO_SEMAPHORES
from bench.contract.results.measured import Measured, Seat
from bench.contract.results.outcomes import Caution
from bench.contract.storage.files import AttemptFolder
from bench.host.affinity import compact, own_cores, share
from bench.host.software.provenance import cores
from bench.start import node_among
from matrix.launchers.base import signalled
from matrix.launchers.status_files import OF_NODE, kept
from tests.support.agents import Agents
from tests.support.needs import missing
from tests.support.runs import make_run
from tests.support.sweeps import PATIENCE


def test_the_same_command_on_every_node_trains_and_leaves_each_nodes_status(data: Path, tmp_path: Path) -> None:
    run = make_run(data, (1, 1, 4), steps=4, warmup_steps=0, val_samples=4)
    system = run.system.model_copy(update={"affinity": "cores"})
    agents = Agents(run.model_copy(update={"nodes": 2, "ranks_per_node": 2, "system": system}), tmp_path / "attempt")
    options = ["--among", "one,two", "--node-name-in", "SLURMD_NODENAME", *agents.forking, "--with-parent"]
    nodes = [agents.start(*options, SLURMD_NODENAME=name) for name in ("two", "one")]
    said = [node.communicate(timeout=PATIENCE)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], said
    attempt = AttemptFolder(agents.folder)
    assert kept(attempt, OF_NODE, known={}) == {0: 0, 1: 0}
    measured = Measured.model_validate_json(attempt.measured.read_bytes())
    assert measured.steps_digest == hashlib.sha256(attempt.steps.read_bytes()).hexdigest()
    assert measured.machine is not None
    assert 0 <= measured.machine.others < 1
    assert measured.machine.load > 0
    assert Caution.NO_WARM_UP in measured.cautions
    origin = measured.provenance
    assert origin.cpu_model
    assert origin.cores == cores(), "those of the host, not of rank 0"
    assert origin.seats == [
        Seat(
            rank=rank,
            host=socket.gethostname(),
            local_rank=rank % 2,
            device="cpu",
            cores=compact(share(own_cores(), rank % 2, 2)),
        )
        for rank in range(4)
    ]


def test_ranks_that_fail_leave_the_status_of_their_agent_and_say_why(tmp_path: Path) -> None:
    """And nothing in the folder for temporary files."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    agents = Agents(make_run(tmp_path / "no-data", (1, 1, 1)), tmp_path / "attempt")
    agent = agents.start("--node", "0", *agents.forking, TMPDIR=str(temporary))
    said, _ = agent.communicate(timeout=PATIENCE)
    assert agent.returncode == 1, said
    attempt = AttemptFolder(agents.folder)
    assert kept(attempt, OF_NODE, known={}) == {0: 1}
    assert "FileNotFoundError" in attempt.rank_log(0).read_text(encoding="utf-8")
    assert list(temporary.iterdir()) == []


def test_an_agent_without_semaphores_says_what_is_missing(tmp_path: Path) -> None:
    words = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o ro none /dev/shm && exec "$@"', "sh"]
    if subprocess.run([*words, "true"], capture_output=True, check=False).returncode:
        missing("a mount namespace", "run the tests as root")
    agents = Agents(make_run(tmp_path / "no-data", (1, 1, 1)), tmp_path / "attempt")
    agent = agents.start("--node", "0", before=words)
    said, _ = agent.communicate(timeout=PATIENCE)
    assert agent.returncode == NO_SEMAPHORES, said
    assert "no semaphore can be made ([Errno 30] Read-only file system): /dev/shm should be" in said


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_an_agent_ends_with_what_started_it(tmp_path: Path) -> None:
    run = make_run(tmp_path, (1, 1, 2)).model_copy(update={"nodes": 2, "ranks_per_node": 1})
    agents = Agents(run, tmp_path / "attempt")
    words = agents.command("--node", "0", "--with-parent")  # it waits for the second node
    shell = subprocess.Popen(["sh", "-c", '"$@" & echo $!; wait $!', "sh", *words], stdout=subprocess.PIPE, text=True)
    until(lambda: is_listening(agents.port))
    assert shell.stdout is not None
    agent = int(shell.stdout.readline())
    shell.kill()
    shell.communicate(timeout=PATIENCE)
    until(lambda: not is_alive(agent))
    assert kept(AttemptFolder(agents.folder), OF_NODE, known={}) == {}, "it did not end by itself"


@pytest.mark.soak  # make cluster-test ends agents of several nodes
def test_an_agent_that_is_asked_to_end_says_by_which_signal(data: Path, tmp_path: Path) -> None:
    run = make_run(data, (1, 1, 1), steps=1_000_000, warmup_steps=0)
    agents = Agents(run, tmp_path / "attempt")
    agent, attempt = agents.start("--node", "0", *agents.forking), AttemptFolder(agents.folder)
    until(lambda: (beat := attempt.last_heartbeat()) is not None and beat.step > 0)
    agent.terminate()
    agent.communicate(timeout=PATIENCE)
    assert agent.returncode == 128 + signal.SIGTERM
    assert signalled(kept(attempt, OF_NODE, known={})[0]) == -signal.SIGTERM


def test_a_node_knows_its_place_by_its_schedulers_name_or_its_own() -> None:
    here = socket.gethostname()
    assert node_among(["a", "b", here]) == 2
    assert node_among(["a", "b", here], "b") == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--among", "one,two", "--node-name-in", "SLURMD_NODENAME"],
            "--among: this node, three, is not in one, two: list it under that name\n",
        ),
        (["--node", "0", "--fork"], "--fork and --store-port need each other: forked ranks use a rendezvous store of "),
        ([], "one of the arguments --node --among is required"),
    ],
)
def test_what_an_agent_cannot_do_is_said_in_a_sentence(options: list[str], said: str, tmp_path: Path) -> None:
    agents = Agents(make_run(tmp_path, (1, 1, 2)), tmp_path / "attempt")
    agent = agents.start(*options, SLURMD_NODENAME="three")
    assert said in agent.communicate(timeout=PATIENCE)[0]
    assert agent.returncode == 2
    assert not agents.folder.exists()
