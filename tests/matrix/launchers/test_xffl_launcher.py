"""Runs that `xffl exec` starts over ssh: they learn the same, and whatever ends them, nothing is left on any host."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest
import yaml

from bench.contract.results.measured import Measured
from bench.contract.results.outcomes import Caution
from tests.support.standin.places import Place, place
from tests.support.sweeps import (
    FOREVER,
    PATIENCE,
    SmallSweep,
    bystander,
    environment_of,
    kill,
    odd_data,
    pids_by_rank,
    wait_for,
)

LONG = {"steps": FOREVER, "warmup_steps": FOREVER - 4}


def _name(place: tuple[str, str]) -> str:
    return f"{place[0]} xffl, {place[1]} ssh"


@pytest.fixture(params=[("standin", "standin"), ("real", "standin")], ids=_name)
def nearby(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Hosts that ssh only seems to reach."""
    with place(tmp_path, *request.param) as found:
        yield found


@pytest.fixture(params=[("standin", "real"), ("real", "real")], ids=_name)
def over_ssh(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Hosts that a daemon of OpenSSH answers for."""
    with place(tmp_path, *request.param) as found:
        yield found


def small(folder: Path, data: Path, hosts: Place) -> SmallSweep:
    """Two nodes of one rank."""
    folder.mkdir(exist_ok=True)
    return SmallSweep(folder, data, nodes=2, ranks_per_node=1, system=hosts.system(), variables=hosts.variables)


def program(sweep: SmallSweep) -> int:
    """Pid of `xffl exec`."""
    (found,) = (pid for pid, command in sweep.processes().items() if " exec " in command and "-ws" in command)
    return found


@pytest.mark.soak  # CI has the virtual cluster's nodes for that
def test_a_run_over_ssh_learns_what_torchrun_s_learns(tmp_path: Path, data: Path, nearby: Place) -> None:
    learns_the_same(tmp_path, data, nearby)


@pytest.mark.soak
def test_a_run_over_real_ssh_learns_what_torchrun_s_learns(tmp_path: Path, data: Path, over_ssh: Place) -> None:
    learns_the_same(tmp_path, data, over_ssh)


def learns_the_same(tmp_path: Path, data: Path, hosts: Place) -> None:
    """One sweep, whose axis `launcher` has both."""
    sweep = small(tmp_path / "over", data, hosts)
    sweep.write(["fsdp"])
    matrix = yaml.safe_load(sweep.matrix.read_text(encoding="utf-8"))
    matrix["axes"]["launcher"] = ["torchrun", "xffl"]
    sweep.matrix.write_text(yaml.safe_dump(matrix), encoding="utf-8")
    sweep.run()
    by_launcher = {sweep.folder.requested_run(run_id).launcher: result for run_id, result in sweep.found().items()}
    expected, found = by_launcher["torchrun"], by_launcher["xffl"]
    assert expected.measured
    assert found.measured
    assert found.measured.loss == expected.measured.loss
    of_the_moment = {Caution.BUSY_MACHINE}
    cautions = [set(each.measured.cautions) - of_the_moment for each in (found, expected)]
    assert cautions[0] == cautions[1], "TORCH_DISTRIBUTED_DEBUG would be one"
    ours = dict(found.measured.provenance.environment)
    assert {ours.pop("GLOO_SOCKET_IFNAME"), ours.pop("NCCL_SOCKET_IFNAME")} == {"lo"}
    assert ours == expected.measured.provenance.environment
    attempt = sweep.folder.run(found.run).attempt(0)
    assert [(attempt.ends / f"rank{rank:05d}.status").read_text() for rank in range(2)] == ["0\n", "0\n"]
    assert "training" in attempt.rank_log(1).read_text()
    sweep.assert_nothing_left()


@pytest.mark.soak  # failing runs of a sweep: tests/matrix/runner/test_ends.py
def test_runs_that_fail_at_once_do_not_stop_a_sweep(tmp_path: Path, data: Path, nearby: Place) -> None:
    fail_one_after_the_other(tmp_path, data, nearby, early=True)


@pytest.mark.soak
def test_runs_that_fail_in_training_do_not_stop_a_sweep(tmp_path: Path, data: Path, over_ssh: Place) -> None:
    fail_one_after_the_other(tmp_path, data, over_ssh, early=False)


def fail_one_after_the_other(tmp_path: Path, data: Path, hosts: Place, *, early: bool) -> None:
    """A rank killed, `xffl exec` killed, Ctrl-C: one runner goes through all three, and touches nobody else."""
    sweep = small(tmp_path / "over", data, hosts)
    sweep.write(["fsdp"], repeats=3, **LONG)
    runner = sweep.begin()
    stranger = bystander("abcdef/1-xffl")
    begun = started_run if early else SmallSweep.training_run
    try:
        killed_rank = begun(sweep)
        kill(pids_by_rank(sweep)[1])
        killed_program = begun(sweep, not_in={killed_rank})
        kill(program(sweep))
        interrupted = begun(sweep, not_in={killed_rank, killed_program})
        assert not (sweep.processes().keys() - processes_of(sweep, interrupted)), "of an earlier run"
        runner.send_signal(signal.SIGINT)
        output, _ = runner.communicate(timeout=PATIENCE)
        assert stranger.poll() is None, "a process of another sweep was touched"
    finally:
        stranger.kill()
        stranger.wait()
    assert runner.returncode == 130, output
    sweep.assert_nothing_left()
    found = sweep.found()
    outcome, reached = ("launch-failed", "before the first step") if early else ("crashed", "after step")
    expected = {
        killed_rank: (outcome, f"killed: rank 1 by signal 9 (the kernel counted no out-of-memory kill), {reached}"),
        killed_program: (outcome, f"killed: xffl exec by signal 9, {reached}"),
        interrupted: ("interrupted", f"interrupted {reached}"),
    }
    for run_id, (outcome, reason) in expected.items():
        assert found[run_id].outcome == outcome, found[run_id]
        assert reason in found[run_id].reason, found[run_id]


def started_run(sweep: SmallSweep, not_in: Collection[str] = ()) -> str:
    """Wait until all ranks of a run (but for those in `not_in`) are processes; returns its id."""

    def look() -> str | None:
        begun = {file.parents[2].name for file in sweep.results.glob("small/runs/*/attempts/0/facility*")}
        new = begun.difference(not_in)
        return new.pop() if new and len(pids_by_rank(sweep)) == 2 else None

    found = wait_for(look)
    assert isinstance(found, str)
    return found


def processes_of(sweep: SmallSweep, run_id: str) -> set[int]:
    """Those whose command or environment names the run."""
    return {
        pid
        for pid, command in sweep.processes().items()
        if run_id in command or run_id in "".join(environment_of(pid).values())
    }


@pytest.mark.soak
def test_a_run_that_hangs_over_ssh(tmp_path: Path, data: Path, over_ssh: Place) -> None:
    sweep = small(tmp_path / "over", data, over_ssh)
    sweep.write(["fsdp"], limits={"hang_seconds": 100.0}, **LONG)
    runner = sweep.begin()
    run_id = sweep.training_run()
    os.kill(pids_by_rank(sweep)[0], signal.SIGSTOP)
    output, _ = runner.communicate(timeout=300)
    assert runner.returncode == 1, output
    assert sweep.found()[run_id].outcome == "hung"
    assert "in train" in sweep.folder.run(run_id).attempt(0).rank_log(1).read_text(), "ranks print their stacks"
    sweep.assert_nothing_left()


@pytest.mark.soak
def test_two_sweeps_at_once_and_what_a_killed_runner_leaves(tmp_path: Path, data: Path, over_ssh: Place) -> None:
    """On the same hosts: neither disturbs the other, and the next runner ends what the killed one could not."""
    short, long = (small(tmp_path / name, data, over_ssh) for name in ("short", "long"))
    short.write(["fsdp"])
    long.write(["fsdp"], **LONG)
    runner = long.begin()
    run_id = long.training_run()
    before = pids_by_rank(long)
    short.run()
    assert list(short.outcomes().values()) == ["completed"]
    short.assert_nothing_left()
    assert pids_by_rank(long) == before, "they go on beside the others"
    kill(runner.pid)
    runner.communicate()
    assert pids_by_rank(long) == before, "xFFL's ranks outlive their launcher"
    assert "that an earlier runner of this sweep left behind" in long.run("--max-runs", "0", expect=0)
    long.assert_nothing_left()
    assert long.found()[run_id].outcome == "interrupted"


@pytest.mark.soak
def test_a_run_over_ssh_is_repeated_by_hand(tmp_path: Path, data: Path, over_ssh: Place) -> None:
    sweep = small(tmp_path / "over", data, over_ssh)
    sweep.write(["fsdp"])
    sweep.run()
    (found,) = sweep.found().values()
    assert found.measured
    folder = sweep.folder.run(found.run).path
    before = {file: file.read_bytes() for file in folder.glob("attempts/**/*") if file.is_file()}
    (folder / "by-hand").mkdir()
    (folder / "by-hand" / "earlier").touch()
    subprocess.run(
        ["bash", str(folder / "launch.sh")], env=os.environ | over_ssh.variables, timeout=PATIENCE, check=True
    )
    again = Measured.model_validate_json((folder / "by-hand" / "measured.json").read_text())
    assert again.loss == found.measured.loss
    assert len(list(folder.glob("by-hand-before-*/earlier"))) == 1
    assert before == {file: file.read_bytes() for file in folder.glob("attempts/**/*") if file.is_file()}


@pytest.mark.soak
def test_a_node_that_starts_no_ranks_is_a_failed_launch(tmp_path: Path, data: Path, nearby: Place) -> None:
    """Seen at once: `xffl exec` waits for the first node, whose rank waits for the second node's."""
    script = tmp_path / "site.sh"
    script.write_text('if [ "$XFFL_NODEID" = 1 ]; then echo "no such module" >&2; exit 3; fi\n')
    system = nearby.system(facility=str(script))
    sweep = SmallSweep(tmp_path, data, nodes=2, ranks_per_node=1, system=system, variables=nearby.variables)
    sweep.write(["fsdp"])
    sweep.run(expect=1)
    (result,) = sweep.found().values()
    assert (result.outcome, "ssh to node 1 (127.0.0.2) ended with status 3" in result.reason) == ("launch-failed", True)
    assert any("no such module" in line for line in result.evidence), result.evidence
    sweep.assert_nothing_left()


@pytest.mark.soak
def test_ranks_that_failed_and_do_not_end(tmp_path: Path, data: Path) -> None:
    """What a rank wrote is enough: nothing is waited for that cannot come."""
    lingering = tmp_path / "lingering"
    lingering.mkdir()
    (lingering / "sitecustomize.py").write_text(
        "import atexit, os, time\nif 'RANK' in os.environ:\n    atexit.register(time.sleep, 600)\n"
    )
    with place(tmp_path, "standin", "standin") as hosts:
        hosts.variables["PYTHONPATH"] = os.pathsep.join([str(lingering), os.environ.get("PYTHONPATH", "")])
        sweep = small(tmp_path / "over", odd_data(data, tmp_path / "odd"), hosts)
        sweep.write(["fsdp"], limits={"hang_seconds": 60.0})
        sweep.run(expect=1)
    (found,) = sweep.found().values()
    assert found.outcome == "launch-failed"
    assert "failed in data" in found.reason
    sweep.assert_nothing_left()
