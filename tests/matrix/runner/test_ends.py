"""Whatever ends a run: one outcome with its evidence, nothing left behind, nothing lost, the sweep goes on."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.sweeps import FOREVER, PATIENCE, SmallSweep, bystander, kill, odd_data, parent, wait_for

LONG = {"steps": FOREVER, "warmup_steps": FOREVER - 4}


@pytest.fixture
def small_sweep(tmp_path: Path, data: Path) -> SmallSweep:
    """A sweep of which nothing is written yet."""
    return SmallSweep(tmp_path, data)


def test_a_sweep_goes_on_where_it_stopped(small_sweep: SmallSweep) -> None:
    """No run twice, at most as many as asked for, and a result that was cut in half is set aside and made again."""
    small_sweep.write(["fsdp", "federated"])
    small_sweep.run("--max-runs", "1")
    (first,) = small_sweep.outcomes()
    file = small_sweep.folder.run(first).result
    written = file.stat().st_mtime_ns
    assert "not repeated, since a result exists: 1 run" in small_sweep.run("--max-runs", "0")
    assert len(small_sweep.outcomes()) == 1
    small_sweep.run()
    assert list(small_sweep.outcomes().values()) == ["completed", "completed"]
    assert file.stat().st_mtime_ns == written

    whole = file.read_text(encoding="utf-8")
    file.write_text(whole[: len(whole) // 2], encoding="utf-8")
    assert "not repeated, since a result exists: 1 run" in small_sweep.run()
    assert list(small_sweep.outcomes().values()) == ["completed", "completed"]
    file.unlink()  # as if the runner had been killed after the training and before it wrote the result
    small_sweep.run()
    assert len(small_sweep.folder.run(first).attempts()) == 2, "what had come to its end is not run again"
    assert small_sweep.folder.run(first).steps.exists()
    (damaged,) = file.parent.glob("damaged-*.json")
    assert damaged.read_text(encoding="utf-8") == whole[: len(whole) // 2]
    small_sweep.assert_nothing_left()


def test_failed_runs_do_not_stop_a_sweep(tmp_path: Path, data: Path) -> None:
    """A rank killed, an agent killed, a rank stopped, Ctrl-C: one runner goes through all four."""
    sweep = SmallSweep(tmp_path, data, nodes=2)
    sweep.write(["fsdp"], repeats=4, limits={"hang_seconds": 20.0}, **LONG)
    runner = sweep.begin()

    killed_rank = sweep.training_run()
    kill(sweep.ranks()[-1])
    killed_agent = sweep.training_run(not_in={killed_rank})
    kill(sweep.agents()[-1])
    stopped = sweep.training_run(not_in={killed_rank, killed_agent})
    os.kill(sweep.ranks()[0], signal.SIGSTOP)
    interrupted = sweep.training_run(not_in={killed_rank, killed_agent, stopped})
    runner.send_signal(signal.SIGINT)
    output, _ = runner.communicate(timeout=PATIENCE)
    assert runner.returncode == 130, output
    assert "run the same command again" in output
    sweep.assert_nothing_left()

    logs = "".join(file.read_text() for file in sweep.folder.run(stopped).attempt(0).logs.glob("rank*.log"))
    assert "in train" in logs, "the ranks of a hang print their stacks"
    found = sweep.found()
    expected = {
        killed_rank: ("crashed", "killed: rank "),
        killed_agent: ("crashed", "the agent of node 1 by signal 9"),
        stopped: ("hung", "no progress for limits.hang_seconds = 20"),
        interrupted: ("interrupted", "interrupted after step"),
    }
    for run_id, (outcome, reason) in expected.items():
        assert found[run_id].outcome == outcome, found[run_id]
        assert reason in found[run_id].reason, found[run_id]
        assert found[run_id].evidence


@pytest.mark.soak
def test_a_killed_rank_under_plain_torchrun(tmp_path: Path, data: Path) -> None:
    sweep = SmallSweep(tmp_path, data, start="exec")
    sweep.write(["fsdp"], **LONG)
    runner = sweep.begin()
    run_id = sweep.training_run()
    kill(sweep.ranks()[-1])
    output, _ = runner.communicate(timeout=PATIENCE)
    assert runner.returncode == 1, output
    assert "rank 1 by signal 9" in sweep.found()[run_id].reason
    sweep.assert_nothing_left()


@pytest.mark.soak  # on a virtual cluster CI kills runners, too
@pytest.mark.parametrize("start", ["warm", "exec"])
def test_a_killed_runner_loses_the_run_in_flight_at_most(tmp_path: Path, data: Path, start: str) -> None:
    sweep = SmallSweep(tmp_path, data, start=start)
    sweep.write(["fsdp"], repeats=2, steps=30)
    sweep.run("--max-runs", "1")
    kept = dict(sweep.outcomes())
    runner = sweep.begin()
    lost = sweep.training_run()
    record = sweep.folder.record()
    assert record is not None
    # A process of the dead runner that outlives it, and one of another sweep.
    orphan, stranger = bystander(f"{sweep.folder.owner(record)}2"), bystander("another-sweep/1")
    os.kill(sweep.ranks()[0], signal.SIGSTOP)  # it cannot end by itself meanwhile
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


def test_a_run_over_its_time_is_a_timeout(small_sweep: SmallSweep) -> None:
    small_sweep.write(["fsdp"], limits={"run_seconds": 4.0}, **LONG)
    small_sweep.run(expect=1)
    (result,) = small_sweep.found().values()
    assert (result.outcome, "limits.run_seconds = 4" in result.reason) == ("timeout", True)
    small_sweep.assert_nothing_left()


@pytest.mark.soak
def test_a_stopped_warm_process_is_ended(small_sweep: SmallSweep) -> None:
    """By a debugger or a SIGSTOP: it does not report that its agents were killed."""
    small_sweep.write(["fsdp"], limits={"run_seconds": 8.0}, **LONG)
    runner = small_sweep.begin()
    small_sweep.training_run()
    os.kill(parent(small_sweep.agents()[0]), signal.SIGSTOP)
    output, _ = runner.communicate(timeout=PATIENCE)
    assert list(small_sweep.outcomes().values()) == ["timeout"], output
    small_sweep.assert_nothing_left()


@pytest.mark.soak
def test_ranks_that_cannot_begin_are_a_failed_launch(data: Path, tmp_path: Path) -> None:
    """For a reason that nobody looks for before the start."""
    broken = SmallSweep(tmp_path, odd_data(data, tmp_path / "odd"))
    broken.write(["fsdp"])
    broken.run(expect=1)
    (result,) = broken.found().values()
    assert result.outcome == "launch-failed"
    assert "failed in data" in result.reason
    assert "nonsense" in result.reason


@pytest.mark.soak  # on a virtual cluster CI fills disks, too
def test_a_full_disk_keeps_what_was_measured(small_sweep: SmallSweep) -> None:
    small_sweep.write(["fsdp"], repeats=2)
    small_sweep.run("--max-runs", "1")
    kept = {run_id: small_sweep.folder.run(run_id).result.read_bytes() for run_id in small_sweep.outcomes()}

    def small_files_only() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2500, 2500))

    full = subprocess.run(
        small_sweep.command(),
        preexec_fn=small_files_only,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert full.returncode == 1
    assert "Traceback" not in full.stderr, full.stderr
    after = {run_id: small_sweep.folder.run(run_id).result.read_bytes() for run_id in kept}
    assert after == kept
    small_sweep.assert_nothing_left()
    small_sweep.run("--retry-failed")
    assert list(small_sweep.outcomes().values()) == ["completed"] * 2


@pytest.mark.soak
def test_two_runners_run_every_run_once(small_sweep: SmallSweep) -> None:
    small_sweep.write(["fsdp", "ddp"], repeats=2)
    runners = [small_sweep.begin(), small_sweep.begin()]
    outputs = [runner.communicate(timeout=PATIENCE)[0] for runner in runners]
    assert [runner.returncode for runner in runners] == [0, 0], outputs
    assert sum("waiting for it" in output for output in outputs) == 1
    assert sum("not repeated, since a result exists: 4 runs" in output for output in outputs) == 1
    assert list(small_sweep.outcomes().values()) == ["completed"] * 4
    assert all(len(small_sweep.folder.run(run_id).attempts()) == 1 for run_id in small_sweep.outcomes())


def test_a_sweep_does_not_go_on_with_another_matrix(small_sweep: SmallSweep) -> None:
    small_sweep.write(["fsdp"])
    small_sweep.run("--max-runs", "0")
    small_sweep.write(["fsdp"], steps=7)
    said = small_sweep.run(expect=2)
    assert "training.steps: 6 -> 7" in said
    assert "--accept-changes" in said


@pytest.mark.soak  # on a virtual cluster CI does it under the limit of a control group
def test_out_of_memory_is_a_datum_and_larger_batches_are_not_tried(small_sweep: SmallSweep) -> None:
    """A model of a few terabytes: the smaller batch really runs out of host memory, the larger one is inferred."""
    giant = {
        "vocab_size": 256,
        "hidden_size": 131072,
        "intermediate_size": 262144,
        "layers": 4,
        "heads": 2,
        "kv_heads": 2,
    }
    small_sweep.write(["fsdp"])
    matrix = yaml.safe_load(small_sweep.matrix.read_text(encoding="utf-8"))
    matrix["axes"] |= {"model": {"name": "giant", "llama": giant}, "batch_size": [1, 2]}
    small_sweep.matrix.write_text(yaml.safe_dump(matrix), encoding="utf-8")
    small_sweep.run("--only", "batch_size=1", expect=1)
    small_sweep.run(expect=1)
    smaller, larger = (
        next(result for run_id, result in small_sweep.found().items() if f".b{size}." in run_id) for size in (1, 2)
    )
    assert (smaller.outcome, larger.outcome) == ("oom", "oom-inferred"), smaller
    assert "ran out of memory before the first step" in smaller.reason
    assert smaller.run in larger.reason
