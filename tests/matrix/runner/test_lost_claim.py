"""A runner that lost its claim ends its run and writes nothing: the results are those of the next runner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from bench.contract.results.outcomes import Outcome
from bench.contract.run import Run
from bench.contract.storage.files import write_document
from matrix.errors import LostClaimError
from matrix.runner import following as loop
from matrix.runner.runner import SweepRunner
from matrix.store.claim import Claim, Runner, claim
from matrix.store.sweep_folder import SweepFolder
from tests.support.documents import a_measurement, a_result
from tests.support.launched import Quiet, Simulated
from tests.support.runs import make_run
from tests.support.sweeps import PATIENCE, SmallSweep, everything_in, kill

IMPATIENT = """
import sys
from matrix.store import claim
claim.BEAT_EVERY, claim.LOST_AFTER = 0.2, 4.0
if sys.argv.pop(1) == "elsewhere":
    claim.host = lambda: "elsewhere"  # the next runner does not look for it in /proc
from matrix.cli.app import main
main()
"""


@pytest.fixture
def sweep(tmp_path: Path) -> SweepFolder:
    return SweepFolder(tmp_path / "sweep")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return make_run(tmp_path, (1, 1, 2))


def complete(sweep: SweepFolder, run: Run) -> None:
    """Do what the next runner did meanwhile: take the sweep, and complete the run."""
    write_document(sweep.runners / "000002.json", Runner.this())
    folder = sweep.run(run.id)
    folder.attempt(1).create()
    write_document(folder.result, a_result(run.id, a_measurement(10.0, 1), attempt=1, seconds=100.0))
    folder.steps.write_bytes(b"the second attempt's")


def run_it(sweep: SweepFolder, run: Run, own: Claim, launched: Simulated) -> None:
    SweepRunner(sweep, launched, own, Quiet()).run_all([run], max_runs=None, retry_failed=False)


def test_a_completed_result_is_kept(sweep: SweepFolder, run: Run) -> None:
    after: dict[str, bytes] = {}

    def happens() -> None:
        (sweep.run(run.id).attempt(0).steps).write_bytes(b"the first attempt's")
        complete(sweep, run)
        after.update(everything_in(sweep.path / "runs"))

    with claim(sweep.runners, lambda runner: None) as own:
        launched = Simulated(happens, ends=True)
        with pytest.raises(LostClaimError, match="runner 2 has taken over this sweep"):
            run_it(sweep, run, own, launched)
    assert launched.stopped
    assert everything_in(sweep.path / "runs") == after, "nothing is written without the claim"


def test_the_run_is_ended(sweep: SweepFolder, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would compete for the devices with the run of the next runner."""
    monkeypatch.setattr(loop, "BEAT_EVERY", 0.1)
    with claim(sweep.runners, lambda runner: None) as own:
        launched = Simulated(lambda: complete(sweep, run), ends=False)
        with pytest.raises(LostClaimError, match="runner 2 has taken over this sweep"):
            run_it(sweep, run, own, launched)
    assert launched.stopped


def test_a_job_that_was_closed_writes_nothing(sweep: SweepFolder, run: Run) -> None:
    """Its runs may be in another job, whose process holds another claim."""
    closed = False

    def close() -> None:
        nonlocal closed
        closed = True

    runners = sweep.path / "jobs" / "0001" / "runners"
    with (
        claim(runners, lambda runner: None, lambda: "closed" if closed else "") as own,
        pytest.raises(LostClaimError, match="closed"),
    ):
        run_it(sweep, run, own, Simulated(close, ends=True))
    assert not sweep.run(run.id).result.exists()


@pytest.mark.parametrize("is_lost", [True, False])
def test_an_attempt_belongs_to_one_runner(
    sweep: SweepFolder, run: Run, monkeypatch: pytest.MonkeyPatch, is_lost: bool
) -> None:
    """A folder that appears just after the claim was checked is another runner's, or NFS repeated the request."""
    with claim(sweep.runners, lambda runner: None) as own:
        check, checks = own.check, 0

        def checked() -> None:
            nonlocal checks
            checks += 1
            if checks == 1 and is_lost:
                complete(sweep, run)
            elif checks > 1:
                check()
            sweep.run(run.id).attempt(0).create()

        monkeypatch.setattr(own, "check", checked)
        with pytest.raises(LostClaimError) if is_lost else nullcontext():
            run_it(sweep, run, own, Simulated(lambda: None, ends=True))
    found = sweep.result(run.id)
    assert found is not None
    assert (found.attempt, found.outcome) == (1, Outcome.COMPLETED if is_lost else Outcome.LAUNCH_FAILED)


@pytest.mark.soak
def test_a_stopped_runner_wakes_up(tmp_path: Path, data: Path) -> None:
    """Real processes: the runner is stopped until the next one has completed its run."""
    small = SmallSweep(tmp_path, data)
    small.write(["fsdp"], steps=200)

    def command(where: str) -> list[str]:
        return [sys.executable, "-c", IMPATIENT, where, *small.command()[3:]]

    first = subprocess.Popen(
        command("elsewhere"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=small.variables
    )
    try:
        run_id = small.training_run()
        os.kill(first.pid, signal.SIGSTOP)
        os.kill(small.ranks()[0], signal.SIGSTOP)  # the run cannot complete meanwhile
        done = subprocess.run(
            command("here"), capture_output=True, text=True, timeout=PATIENCE, env=small.variables, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "waiting for it" in done.stdout
        before = everything_in(small.folder.path / "runs")
        os.kill(first.pid, signal.SIGCONT)
        output, _ = first.communicate(timeout=PATIENCE)
    finally:
        if first.poll() is None:
            kill(first.pid)
            first.wait()
    assert everything_in(small.folder.path / "runs") == before
    (result,) = small.found().values()
    assert (result.run, result.outcome, result.attempt) == (run_id, "completed", 1)
    assert result.claim == "runners/000002.json"
    assert first.returncode == 1, output
    assert "runner 2 has taken over this sweep" in output
    assert "Traceback" not in output
    small.assert_nothing_left()
