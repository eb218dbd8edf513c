"""Sweeps in batch jobs, on this machine: nothing lost, nothing run twice, nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest

from bench.contract.results.outcomes import Outcome
from reports.data.frame import load
from reports.stats.comparison import Comparison, Rule, Sample, ratio
from tests.support.shell_sweeps import ShellSweep
from tests.support.sweeps import PATIENCE, wait_for

LONG = 1_000_000
"""Steps of a run that something is to happen to."""


@pytest.fixture
def shell_sweep(tmp_path: Path, data: Path) -> ShellSweep:
    return ShellSweep(tmp_path, data)


def also_on_one_node(sweep: ShellSweep) -> None:
    """Have a sweep of two nodes run on one as well."""
    matrix = sweep.matrix.read_text(encoding="utf-8").replace("nodes: 2", "nodes: [1, 2]")
    sweep.matrix.write_text(matrix, encoding="utf-8")


def two_nodes_over_one(frame: pd.DataFrame) -> Comparison:
    """Tokens/s of two nodes over those of one, as a report compares them."""
    samples: dict[int, list[Sample]] = {}
    for _, row in frame.iterrows():
        sample = Sample(row["tokens_per_s"], row["session"], row["repeat"])
        samples.setdefault(row["axis.nodes"], []).append(sample)
    made = ratio(samples[2], samples[1])
    assert made is not None
    return made


@pytest.mark.soak
def test_jobs_are_submitted_followed_and_kept(shell_sweep: ShellSweep) -> None:
    shell_sweep.write(["fsdp", "ddp"])
    said = shell_sweep.run()
    assert "2 runs in 1 job: at most" in said
    assert "COMPLETED: finished" in said
    assert list(shell_sweep.outcomes().values()) == [Outcome.COMPLETED] * 2
    (job,) = shell_sweep.jobs
    assert job.submitted is not None
    for result in shell_sweep.found().values():
        assert result.allocation is not None
        assert result.allocation.job == job.submitted.id
    again = shell_sweep.run()
    assert f"2 runs, 0 left, results in {shell_sweep.folder.path}\n" in again
    assert "not repeated, since a result exists: 2 runs" in again
    assert len(shell_sweep.jobs) == 1
    shell_sweep.assert_nothing_left()


def test_detached_jobs_go_on_are_seen_and_are_taken_up(shell_sweep: ShellSweep) -> None:
    shell_sweep.write(["ddp"], steps=500)
    assert "show progress: xffl-bench status" in shell_sweep.run("--detach")
    shell_sweep.training_run()
    ranks = shell_sweep.ranks()
    for rank in ranks:  # however long the status takes
        os.kill(rank, signal.SIGSTOP)
    shown = shell_sweep.call("status", str(shell_sweep.folder.path))
    for rank in ranks:
        os.kill(rank, signal.SIGCONT)
    assert "RUNNING" in shown.stdout, shown.stdout + shown.stderr
    shell_sweep.run()
    assert list(shell_sweep.outcomes().values()) == [Outcome.COMPLETED]
    assert len(shell_sweep.jobs) == 1, "the second call follows the job of the first"
    shell_sweep.assert_nothing_left()


def test_a_cancelled_job_is_ended_and_is_not_submitted_again(shell_sweep: ShellSweep) -> None:
    shell_sweep.write(["ddp"], steps=LONG)
    follower = shell_sweep.begin()
    run_id = shell_sweep.training_run()
    said = shell_sweep.call("cancel", str(shell_sweep.folder.path))
    assert said.stdout.startswith("cancelled: "), said.stderr
    output, _ = follower.communicate(timeout=PATIENCE)
    assert follower.returncode == 1, output
    assert "was cancelled" in output
    (attempt,) = shell_sweep.attempts_at(run_id)
    assert (attempt.outcome, attempt.job_end, attempt.lost_to) == (Outcome.INTERRUPTED, "CANCELLED", None)
    assert "cancelled by a user" in attempt.reason
    shell_sweep.assert_nothing_left()


def test_cancelling_again_cancels_nothing(shell_sweep: ShellSweep) -> None:
    """No `run` has recorded the ends yet."""
    shell_sweep.write(["ddp"], steps=LONG)
    said = shell_sweep.run("--detach")
    assert f"1 run, results in {shell_sweep.folder.path}\n" in said
    shell_sweep.training_run()
    folder = str(shell_sweep.folder.path)
    assert shell_sweep.call("cancel", folder).stdout.startswith("cancelled: ")
    wait_for(lambda: "CANCELLED" in shell_sweep.call("status", folder).stdout)
    assert shell_sweep.call("cancel", folder).stdout == "this sweep has no active jobs\n"


@pytest.mark.soak  # on a virtual cluster CI kills followers, too
def test_a_killed_follower_costs_nothing(shell_sweep: ShellSweep) -> None:
    shell_sweep.write(["fsdp", "ddp"], steps=60)
    follower = shell_sweep.begin()
    shell_sweep.training_run()
    follower.send_signal(signal.SIGKILL)
    follower.wait()
    shell_sweep.run()
    assert list(shell_sweep.outcomes().values()) == [Outcome.COMPLETED] * 2
    assert len(shell_sweep.jobs) == 1
    assert all(result.attempt == 0 for result in shell_sweep.found().values()), "nothing was run twice"


@pytest.mark.soak  # make cluster-test does both under Slurm
def test_a_run_that_takes_two_jobs_with_it_is_given_up(shell_sweep: ShellSweep) -> None:
    shell_sweep.write(["ddp"], steps=LONG)
    follower = shell_sweep.begin()
    run_id = shell_sweep.training_run()
    shell_sweep.kill_job_process()
    assert shell_sweep.training_run(attempt=1) == run_id
    shell_sweep.kill_job_process()
    output, _ = follower.communicate(timeout=PATIENCE)
    assert follower.returncode == 1, output
    first, second = shell_sweep.attempts_at(run_id)
    assert (first.outcome, first.lost_to, first.job_end) == (Outcome.INTERRUPTED, "KILLED", "KILLED")
    assert second.outcome is Outcome.CRASHED
    assert second.reason.startswith("not retried: 2 jobs died during this run (KILLED, KILLED)")
    assert f"attempt 0: {first.reason}" in second.evidence
    assert [end.state for end in shell_sweep.ends if end] == ["KILLED", "KILLED"]
    shell_sweep.assert_nothing_left()


@pytest.mark.soak
def test_a_run_lost_in_one_job_and_done_in_another_is_no_partner_of_the_first(shell_sweep: ShellSweep) -> None:
    shell_sweep.write(["fsdp", "ddp"], steps=200)
    follower = shell_sweep.begin()
    first = shell_sweep.training_run()
    assert wait_for(lambda: shell_sweep.folder.result(first))
    lost = shell_sweep.training_run(not_in=[first])
    shell_sweep.kill_job_process()
    output, _ = follower.communicate(timeout=PATIENCE)
    assert follower.returncode == 0, output
    (kept,), (before, again) = shell_sweep.attempts_at(first), shell_sweep.attempts_at(lost)
    one, two = (job.submitted.id for job in shell_sweep.jobs if job.submitted)
    sessions = [each.session for each in (kept, before, again)]
    assert sessions == [f"job {one}, runner 1", f"job {one}, runner 1", f"job {two}, runner 1"]
    assert [each.position for each in (kept, before, again)] == [1, 2, 1]
    assert before.outcome is Outcome.INTERRUPTED
    assert before.allocation is not None
    assert before.allocation.job == one
    assert kept.started <= before.started < again.started, "when it started, not when its end was noticed"
    began = datetime.fromisoformat(kept.started).timestamp() + kept.seconds
    assert datetime.fromisoformat(before.started).timestamp() == pytest.approx(began, abs=2.0)
    frame = load(shell_sweep.folder.path).frame.set_index("run")
    samples = [
        [Sample(row["tokens_per_s"], row["session"], row["repeat"])] for row in (frame.loc[first], frame.loc[lost])
    ]
    made = ratio(*samples)
    assert made is not None
    assert (made.rule, made.sessions) == (Rule.SESSIONS, (1, 1))
    shell_sweep.assert_nothing_left()


@pytest.mark.soak
def test_a_killed_supervisor_takes_its_job_with_it(shell_sweep: ShellSweep) -> None:
    shell_sweep.write(["ddp"], steps=LONG)
    shell_sweep.run("--detach")
    shell_sweep.training_run()
    (job,) = shell_sweep.jobs
    assert job.submitted is not None
    supervisor = shell_sweep.spooled(job.submitted.id).supervisor
    assert supervisor is not None
    os.kill(supervisor.pid, signal.SIGKILL)
    shell_sweep.assert_nothing_left()
    assert shell_sweep.spooled(job.submitted.id).state()[0] == "KILLED"


@pytest.mark.soak
def test_the_end_of_a_jobs_time(tmp_path: Path, data: Path) -> None:
    """The run under way is interrupted with the reason; `retries: 0` leaves it."""
    sweep = ShellSweep(tmp_path, data, shell={"job_minutes": 3, "retries": 0})
    sweep.write(["ddp"], steps=LONG, limits={"run_seconds": 100, "expected_seconds": 1})
    said = sweep.run("--dry-run")
    (job,) = sweep.jobs
    assert f"{job.script}\n" in said
    # Minutes are the unit of a job's time; this one gets seconds, as nobody waits a minute in a test.
    lines = job.script.read_text(encoding="utf-8")
    job.script.write_text(lines.replace(f"#SHELL minutes={job.order().minutes}", "#SHELL minutes=0.35"), "utf-8")
    sweep.by_hand(job.script)
    output = sweep.run(expect=1)
    assert "TIMEOUT: time limit reached" in output
    (end,) = sweep.ends
    assert end is not None
    assert end.state == "TIMEOUT"
    assert end.seconds >= 21
    (result,) = [sweep.folder.result(run.id) for run in job.order().runs]
    assert result is not None
    assert (result.outcome, result.job_end, result.lost_to) == (Outcome.INTERRUPTED, "TIMEOUT", "TIMEOUT")
    sweep.assert_nothing_left()


@pytest.mark.soak
def test_jobs_take_turns_and_the_report_comes_last(tmp_path: Path, data: Path) -> None:
    sweep = ShellSweep(tmp_path, data, nodes=2, shell={"report": True})
    sweep.write(["ddp"])
    also_on_one_node(sweep)
    sweep.run("--detach")
    report = sweep.folder.path / "report" / "report.md"
    assert wait_for(report.exists, 100), list(sweep.folder.path.rglob("*.log"))
    first, second, third = (sweep.spooled(str(number)) for number in (1, 2, 3))
    assert first.ended is not None
    assert second.started is not None
    assert second.ended is not None
    assert third.started is not None
    assert first.started is not None
    assert second.started.at >= first.started.at + first.ended.seconds - 0.2
    assert third.started.at >= second.started.at + second.ended.seconds - 0.2
    assert "2 completed" in report.read_text(encoding="utf-8")


@pytest.mark.soak
def test_nested_node_counts_are_pairs_in_one_job(tmp_path: Path, data: Path) -> None:
    sweep = ShellSweep(tmp_path, data, nodes=2, shell={"allocations": 1, "nested": True, "job_minutes": 30})
    sweep.write(["fsdp"], repeats=3)
    also_on_one_node(sweep)
    planned = sweep.call("plan", str(sweep.matrix), "--results", str(sweep.results)).stdout
    assert "6 runs in 1 job: at most" in planned
    assert "shell.nested leaves nodes idle in" in planned.replace("\n", " ")
    said = sweep.run()
    assert "shell.nested leaves nodes idle in" in said.replace("\n", " ")
    (job,) = sweep.jobs
    assert job.order().nodes == 2
    plan, frame = sweep.folder.plan(), load(sweep.folder.path).frame
    assert [run.id for run in job.order().runs] == plan.order
    assert list(frame.sort_values("position")["run"]) == plan.order
    assert frame["session"].nunique() == 1
    made = two_nodes_over_one(frame)
    assert (made.rule, made.size, made.estimate.is_interval) == (Rule.PAIRS, 3, True)
    assert {len(result.allocation.hosts) for result in sweep.found().values() if result.allocation} == {2}
    sweep.assert_nothing_left()


@pytest.mark.soak
def test_by_default_repeats_are_in_allocations_of_their_own(tmp_path: Path, data: Path) -> None:
    """So that node counts, which share no session, are compared with an interval."""
    sweep = ShellSweep(tmp_path, data, nodes=2)
    sweep.write(["fsdp"], repeats=3)
    also_on_one_node(sweep)
    assert "6 runs in 6 jobs: at most" in sweep.run()
    frame = load(sweep.folder.path).frame
    assert frame["session"].nunique() == 6
    made = two_nodes_over_one(frame)
    assert (made.rule, made.sessions, made.estimate.is_interval) == (Rule.SESSIONS, (3, 3), True)


def test_a_script_that_is_none_of_ours_is_refused(shell_sweep: ShellSweep, tmp_path: Path) -> None:
    script = tmp_path / "job.sh"
    script.write_text("#!/bin/bash\ntrue\n", encoding="utf-8")
    with pytest.raises(subprocess.CalledProcessError) as refused:
        shell_sweep.by_hand(script)
    assert f"{script}: its #SHELL lines are not as xffl-bench writes them" in refused.value.stderr
    assert "Traceback" not in refused.value.stderr
