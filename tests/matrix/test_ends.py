"""Whatever ends a run: one outcome with its evidence, nothing left behind, nothing lost, the sweep goes on."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
from pathlib import Path

import pytest

from tests.matrix.sweeps import FOREVER, SmallSweep, bystander, kill, wait_for

LONG = {"steps": FOREVER, "warmup_steps": FOREVER - 4}


@pytest.fixture
def sweep(tmp_path: Path, data: Path) -> SmallSweep:
    return SmallSweep(tmp_path, data)


def test_a_sweep_completes_and_is_not_run_twice(sweep: SmallSweep) -> None:
    sweep.write(["fsdp", "federated"])
    first = sweep.run()
    assert "2 completed" in first
    written = {run_id: sweep.folder.run(run_id).result.stat().st_mtime_ns for run_id in sweep.outcomes()}
    again = sweep.run()
    assert "2 runs had their result already" in again
    assert written == {run_id: sweep.folder.run(run_id).result.stat().st_mtime_ns for run_id in sweep.outcomes()}
    sweep.assert_nothing_left()


def test_at_most_as_many_runs_as_asked_for(sweep: SmallSweep) -> None:
    sweep.write()
    sweep.run("--max-runs", "1")
    assert list(sweep.outcomes().values()) == ["completed"]
    sweep.run("--max-runs", "0")
    assert len(sweep.outcomes()) == 1
    sweep.run()
    assert list(sweep.outcomes().values()) == ["completed", "completed"]


@pytest.mark.parametrize("start", ["warm", "exec"])
def test_a_killed_rank_is_a_crash_with_its_signal(tmp_path: Path, data: Path, start: str) -> None:
    sweep = SmallSweep(tmp_path, data, start=start)
    sweep.write(["fsdp"], **LONG)
    runner = sweep.begin()
    run_id = sweep.training_run()
    kill(sweep.ranks()[-1])
    output, _ = runner.communicate(timeout=60)
    assert runner.returncode == 1, output
    result = sweep.found()[run_id]
    assert result.outcome == "crashed"
    assert "rank 1 by signal 9" in result.reason, result
    assert "after step" in result.reason
    assert result.evidence
    sweep.assert_nothing_left()


def test_a_killed_agent_fails_its_run_only(tmp_path: Path, data: Path) -> None:
    sweep = SmallSweep(tmp_path, data, nodes=2)
    sweep.write(["fsdp"], repeats=2, steps=60)
    runner = sweep.begin()
    failed = sweep.training_run()
    kill(sweep.agents()[-1])
    output, _ = runner.communicate(timeout=100)
    assert runner.returncode == 1, output
    outcomes = sweep.outcomes()
    assert outcomes.pop(failed) == "crashed"
    assert list(outcomes.values()) == ["completed"], output
    assert "the agent of node 1 by signal 9" in sweep.found()[failed].reason
    sweep.assert_nothing_left()


@pytest.mark.parametrize("start", ["warm", "exec"])
def test_a_killed_runner_loses_the_run_in_flight_at_most(tmp_path: Path, data: Path, start: str) -> None:
    sweep = SmallSweep(tmp_path, data, start=start)
    sweep.write(["fsdp"], repeats=2, steps=80)
    sweep.run("--max-runs", "1")
    kept = dict(sweep.outcomes())
    runner = sweep.begin()
    lost = sweep.training_run()
    record = sweep.folder.record()
    assert record is not None
    # A process of the dead runner that outlives it, and one of another sweep.
    orphan, stranger = bystander(f"{record.uuid}/2"), bystander("another-sweep/1")
    kill(runner.pid)
    runner.wait()
    assert runner.stdout
    runner.stdout.close()
    assert sweep.outcomes() == kept
    assert wait_for(lambda: set(sweep.processes()) == {orphan.pid}), "ranks must end with their runner"
    try:
        output = sweep.run()
        assert "ended 1 processes that an earlier runner" in output
        assert orphan.wait(5) == -signal.SIGKILL
        assert stranger.poll() is None, "a process of another sweep was touched"
    finally:
        for process in (orphan, stranger):
            process.kill()
            process.wait()
    assert sweep.outcomes() == {**kept, lost: "completed"}
    assert len(sweep.folder.run(lost).attempts()) == 2
    sweep.assert_nothing_left()


def test_an_interrupted_run_has_its_outcome_and_runs_again(sweep: SmallSweep) -> None:
    sweep.write(["fsdp"], **LONG)
    runner = sweep.begin()
    run_id = sweep.training_run()
    runner.send_signal(signal.SIGINT)
    output, _ = runner.communicate(timeout=60)
    assert runner.returncode == 130, output
    assert "run the same command again" in output
    assert sweep.outcomes() == {run_id: "interrupted"}
    sweep.assert_nothing_left()
    sweep.write(["fsdp"])
    sweep.run("--accept-changes", "--max-runs", "1")
    assert list(sweep.outcomes().values()) == ["completed"]


def test_a_run_over_its_time_is_a_timeout(sweep: SmallSweep) -> None:
    sweep.write(["fsdp"], limits={"run_seconds": 6.0}, **LONG)
    sweep.run(expect=1)
    (result,) = sweep.found().values()
    assert (result.outcome, "limits.run_seconds = 6" in result.reason) == ("timeout", True)
    assert result.seconds < 12
    sweep.assert_nothing_left()


def test_a_stopped_rank_is_a_hang(sweep: SmallSweep) -> None:
    sweep.write(["fsdp"], limits={"hang_seconds": 4.0}, **LONG)
    runner = sweep.begin()
    run_id = sweep.training_run()
    os.kill(sweep.ranks()[0], signal.SIGSTOP)
    output, _ = runner.communicate(timeout=60)
    assert runner.returncode == 1, output
    result = sweep.found()[run_id]
    assert (result.outcome, "limits.hang_seconds = 4" in result.reason) == ("hung", True)
    sweep.assert_nothing_left()


def test_ranks_that_cannot_begin_are_a_failed_launch(sweep: SmallSweep, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    broken = SmallSweep(tmp_path, empty)
    broken.write(["fsdp"])
    broken.run(expect=1)
    (result,) = broken.found().values()
    assert result.outcome == "launch-failed"
    assert "failed in data" in result.reason
    assert "empty" in result.reason


def test_a_full_disk_keeps_what_was_measured(sweep: SmallSweep) -> None:
    sweep.write(["fsdp"], repeats=3)
    sweep.run("--max-runs", "1")
    kept = {run_id: sweep.folder.run(run_id).result.read_bytes() for run_id in sweep.outcomes()}

    def small_files_only() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2500, 2500))

    full = subprocess.run(
        sweep.command(), preexec_fn=small_files_only, capture_output=True, text=True, timeout=100, check=False
    )
    assert full.returncode == 1
    assert "Traceback" not in full.stderr, full.stderr
    after = {run_id: sweep.folder.run(run_id).result.read_bytes() for run_id in kept}
    assert after == kept
    sweep.assert_nothing_left()
    sweep.run("--retry-failed")
    assert list(sweep.outcomes().values()) == ["completed"] * 3


def test_a_result_cut_in_half_is_set_aside_and_run_again(sweep: SmallSweep) -> None:
    sweep.write(["fsdp"])
    sweep.run()
    (run_id,) = sweep.outcomes()
    file = sweep.folder.run(run_id).result
    whole = file.read_text(encoding="utf-8")
    file.write_text(whole[: len(whole) // 2], encoding="utf-8")
    sweep.run()
    assert sweep.outcomes() == {run_id: "completed"}
    (damaged,) = file.parent.glob("damaged-*.json")
    assert damaged.read_text(encoding="utf-8") == whole[: len(whole) // 2]


def test_two_runners_run_every_run_once(sweep: SmallSweep) -> None:
    sweep.write(["fsdp", "ddp"], repeats=2)
    runners = [sweep.begin(), sweep.begin()]
    outputs = [runner.communicate(timeout=120)[0] for runner in runners]
    assert [runner.returncode for runner in runners] == [0, 0], outputs
    assert sum("waiting for it" in output for output in outputs) == 1
    assert sum("4 runs had their result already" in output for output in outputs) == 1
    assert list(sweep.outcomes().values()) == ["completed"] * 4
    assert all(len(sweep.folder.run(run_id).attempts()) == 1 for run_id in sweep.outcomes())


def test_a_sweep_does_not_go_on_with_another_matrix(sweep: SmallSweep) -> None:
    sweep.write(["fsdp"])
    sweep.run("--max-runs", "0")
    sweep.write(["fsdp"], steps=7)
    said = sweep.run(expect=2)
    assert "the matrix file" in said
    assert "--accept-changes" in said
