"""Runs that ended jobs left: whether a job failed or was cancelled, and what each of them made."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import cast

import pytest
from rich.console import Console

from bench.contract.results.outcomes import Outcome
from bench.contract.results.result import Allocation, JobEnd
from matrix.cli.backends import InJobs, RunOptions
from matrix.cli.progress.display import print_status
from matrix.cli.progress.documents import LeftRuns, StatusDocument
from matrix.cli.progress.look import look
from matrix.config.system import SystemFile
from matrix.planning.prepare import PreparedSweep
from matrix.runner.progress import Detail
from matrix.store.claim import claim
from matrix.store.jobs import JobFolder, JobOrder, new_job
from matrix.store.sweep_folder import SweepFolder
from tests.support.documents import SweepDocuments, a_measurement
from tests.support.shell_sweeps import ShellSweep
from tests.support.sweeps import wait_for

WAITS = {"setup": ["sleep 100"], "max_jobs": 1, "allocations": 2}
"""Of jobs that have their nodes, and whose process does not begin."""

SYSTEM = SystemFile(name="x", scheduler="shell", device="cpu", nodes=1, ranks_per_node=4)


@pytest.fixture
def made(tmp_path: Path) -> SweepDocuments:
    """Three runs, of which none has a result yet."""
    sweep = SweepDocuments(tmp_path / "sweep", nodes=(1,))
    sweep.run("fsdp", 1)
    sweep.write()
    return sweep


def ids(sweep: SweepDocuments) -> list[str]:
    return sweep.cells[0].runs


def asked(sweep: SweepDocuments, runs: Sequence[str]) -> JobFolder:
    """A job of these runs that is not submitted."""
    folder = SweepFolder(sweep.path)
    found = new_job(folder)
    requested = [folder.requested_run(run) for run in runs]
    found.keep(
        JobOrder(
            number=1, name="a", nodes=1, minutes=5, runs=requested, system=SYSTEM, retry_failed=False, created="now"
        )
    )
    return found


def ended(sweep: SweepDocuments, job: str, state: str, runs: Sequence[str]) -> None:
    """A job of these runs that has ended."""
    found = asked(sweep, runs)
    found.submitted_as(job)
    found.log(job).write_text("module: not found\n")
    found.ended(JobEnd(id=job, state=state, said="", seconds=1.0, nodes=1))


def completed(sweep: SweepDocuments, run: str, job: str) -> None:
    place = Allocation(job=job, hosts=["a"], switches={})
    sweep.end(run, measured=a_measurement(1.0, 1), allocation=place)


def shown(status: StatusDocument) -> str:
    out = StringIO()
    print_status(status, Console(file=out, width=300))
    return out.getvalue()


def test_runs_whose_job_failed_are_left_and_that_is_a_failure(made: SweepDocuments) -> None:
    folder = SweepFolder(made.path)
    ended(made, "101", "NODE_FAIL", ids(made))
    completed(made, ids(made)[0], "101")
    status = look(folder)
    assert (status.left, status.has_failures) == (LeftRuns(failed=2), True)
    log = made.path / "jobs" / "0001" / "101.log"
    again = "the same `xffl-bench run` submits them again"
    assert f"left by jobs that failed: 2 runs: see {log}; {again}\n" in shown(status)
    log.unlink()
    assert "see what the scheduler recorded of job 101;" in shown(look(folder))
    with claim(folder.runners, lambda _: None):  # which submits them again
        assert look(folder).left == LeftRuns()
    ended(made, "102", "COMPLETED", ids(made)[1:])
    completed(made, ids(made)[1], "102")
    assert (look(folder).left, look(folder).has_failures) == (LeftRuns(completed=1), False)


def test_an_interrupted_run_is_left_too(made: SweepDocuments) -> None:
    ended(made, "101", "TIMEOUT", ids(made)[:1])
    made.end(ids(made)[0], Outcome.INTERRUPTED, "job 101 ended: TIMEOUT")
    assert look(SweepFolder(made.path)).has_failures


def test_a_cancelled_job_is_no_failure_and_made_what_it_made(made: SweepDocuments) -> None:
    """Its runs may have been made by another job."""
    folder = SweepFolder(made.path)
    ended(made, "101", "CANCELLED", ids(made))
    completed(made, ids(made)[0], "101")
    status = look(folder)
    assert (status.left, status.has_failures) == (LeftRuns(cancelled=2), False)
    assert "left by jobs that were cancelled: 2 runs: the same `xffl-bench run`" in shown(status)
    ended(made, "102", "COMPLETED", ids(made)[1:])
    for run in ids(made)[1:]:
        completed(made, run, "102")
    status = look(folder)
    assert [(job.job, job.done, job.runs, job.end) for job in status.jobs] == [
        ("101", 1, 3, "CANCELLED"),
        ("102", 2, 2, "COMPLETED"),
    ]
    assert (status.left, status.has_failures, "left by" in shown(status)) == (LeftRuns(), False, False)


def test_a_job_that_dies_before_its_runs_begin(tmp_path: Path, data: Path) -> None:
    """Nothing follows it, and nothing has recorded its end."""
    sweep = ShellSweep(tmp_path, data, shell={"setup": ["exit 3"], "retries": 0})
    sweep.write(["ddp"])
    sweep.run("--detach")
    folder = str(sweep.folder.path)
    assert wait_for(lambda: sweep.call("status", folder).returncode)
    said = sweep.call("status", folder)
    assert said.returncode == 1, said.stderr
    assert "FAILED: the job's process failed" in said.stdout
    assert "left by jobs that failed: 1 run: see" in said.stdout
    found = sweep.call("status", folder, "--json")
    assert (found.returncode, StatusDocument.model_validate_json(found.stdout).left) == (1, LeftRuns(failed=1))
    chosen = sweep.run("--max-runs", "1", expect=1)
    assert "1 run left: 1 job did not finish it" in chosen


def test_runs_that_no_job_has_yet_and_those_that_another_has(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = ShellSweep(tmp_path, data, shell=WAITS)
    sweep.write(["ddp"], repeats=2)
    later = "not submitted, by shell.max_jobs: 1 run in 1 job; call the same command again once others have ended\n"
    assert later in sweep.run("--detach")
    assert wait_for(lambda: "RUNNING" in sweep.call("status", str(sweep.folder.path)).stdout)
    monkeypatch.setitem(sweep.variables, "XFFL_SHELL_JOB", "1")  # a command in the job's allocation
    said = sweep.run(expect=1)
    assert "1 run: 1 completed\n1 run left: in active job 1 (" in said
    assert sweep.call("cancel", str(sweep.folder.path)).stdout == "cancelled: 1\n"


def test_a_job_that_was_submitted_by_hand_is_cancelled(tmp_path: Path, data: Path) -> None:
    sweep = ShellSweep(tmp_path, data, shell=WAITS)
    sweep.write(["ddp"])
    sweep.run("--dry-run")
    folder = str(sweep.folder.path)
    assert "not submitted by `run`" in sweep.call("status", folder).stdout
    assert sweep.call("cancel", folder).stdout == "this sweep has no active jobs\n"
    (job,) = sweep.jobs
    number = sweep.by_hand(job.script)
    assert sweep.call("cancel", folder).stdout == f"cancelled: {number}\n"


def test_what_is_said_of_jobs_after_an_interruption(made: SweepDocuments) -> None:
    options = RunOptions(None, False, False, False, lambda _: True, Detail.OUTCOMES)
    prepared = cast("PreparedSweep", None)  # of no use to the message
    backend = InJobs(prepared, SweepFolder(made.path), Console(), options)
    assert backend.when_interrupted == "it has no jobs; run the same command again to submit them"
    found = asked(made, ids(made))
    assert backend.when_interrupted.startswith("it has no jobs")
    found.submitted_as("101")
    assert backend.when_interrupted.startswith("its jobs continue")
