"""A runner that is killed, or refused, at any change that it makes on the disk: nothing is lost or runs twice."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from bench.contract.results.outcomes import Outcome
from bench.contract.results.result import Heartbeat, RankEnd
from bench.contract.run import Run
from bench.contract.storage.files import AttemptFolder, RunFolder, write_document
from matrix.runner.runner import SweepRunner
from matrix.store.claim import claim
from matrix.store.settle import settle
from matrix.store.sweep_folder import SweepFolder
from tests.support.documents import a_measurement
from tests.support.launched import Quiet, Simulated
from tests.support.runs import make_run
from tests.support.sweeps import everything_in

CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.link", "os.utime"}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Trained(Simulated):
    """Ranks that train at once, and leave what real ones leave; they die with the runner."""

    def __init__(self, starts: Path) -> None:
        super().__init__(ends=True)
        self._starts = starts

    def start(self, run: Run, folder: RunFolder, attempt: AttemptFolder) -> Trained:
        with self._starts.open("a", encoding="utf-8") as file:
            file.write(f"{run.id}\n")
        write_document(attempt.heartbeat, Heartbeat(phase="training", step=3, steps=4))
        attempt.steps.write_bytes(f"{run.id}, attempt {attempt.number}".encode())
        write_document(attempt.measured, a_measurement(100.0, 1))
        for rank in range(run.world):
            write_document(attempt.rank_end(rank), RankEnd(rank=rank, completed=True, phase="clean-up", step=3))
        return self


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fail() -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def at_change(change: int, folder: Path, happens: Callable[[], None]) -> None:
    """Let something happen in place of this process's `change`-th change of what is in a folder."""
    left = change

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        is_change = event in CHANGES or (event == "open" and (arguments[2] or 0) & WRITES)
        if is_change and str(folder) in str(arguments[0]):
            left -= 1
            if left == 0:
                happens()

    sys.addaudithook(count)


def run_sweep(sweep: SweepFolder, runs: Sequence[Run], starts: Path, change: int, happens: Callable[[], None]) -> bool:
    """Run the sweep in a process of its own, in which something happens at one of its changes; False if it ends it."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            at_change(change, sweep.path, happens)
            with claim(sweep.runners, lambda runner: None) as own:
                settle(sweep, [run.id for run in runs], claim=own)
                runner = SweepRunner(sweep, Trained(starts), own, Quiet())
                summary = runner.run_all(runs, max_runs=None, retry_failed=False)
                status = 0 if summary.all_completed(only_started=False) else 2
        except OSError:
            status = 3
        finally:
            os._exit(status)
    _, ended = os.waitpid(child, 0)
    assert os.WIFSIGNALED(ended) or os.WEXITSTATUS(ended) in (0, 3), "it failed by itself"
    return ended == 0


def completed(sweep: SweepFolder, runs: Sequence[Run]) -> dict[str, bytes]:
    """The results that count, with what belongs to them."""
    found = {}
    for run in runs:
        result, folder = sweep.result(run.id), sweep.run(run.id)
        if result is not None and result.outcome is Outcome.COMPLETED:
            found[f"{run.id} result"] = folder.result.read_bytes()
            found[f"{run.id} steps"] = folder.steps.read_bytes()
    return found


def finished(sweep: SweepFolder, runs: Sequence[Run]) -> set[str]:
    """The runs of which all ranks have ended well in some attempt."""
    return {
        run.id
        for run in runs
        for attempt in sweep.run(run.id).attempts()
        if all(attempt.rank_end(rank).exists() for rank in range(run.world))
    }


def endure(path: Path, changes: Sequence[int], happens: Callable[[], None]) -> bool:
    """Disturb a runner, and those that go on with its sweep; return False if the last one completed all the same."""
    sweep, starts = SweepFolder(path / "sweep"), path / "starts"
    run = make_run(path, (1, 1, 2))
    runs = [run.model_copy(update={"id": name, "repeat": repeat}) for repeat, name in enumerate("ab")]
    path.mkdir(exist_ok=True)
    starts.touch()
    was_ended = True
    for change in [*changes, 10**9]:
        before, done = completed(sweep, runs), finished(sweep, runs)
        started = starts.read_text(encoding="utf-8").split()
        is_over = run_sweep(sweep, runs, starts, change, happens)
        again = starts.read_text(encoding="utf-8").split()[len(started) :]
        assert not done.intersection(again), "what had been trained is not trained again"
        after = completed(sweep, runs)
        assert {name: after.get(name) for name in before} == before, "a completed result has changed"
        was_ended = was_ended if change == 10**9 else not is_over
    assert [result and result.outcome for result in map(sweep.result, (run.id for run in runs))] == ["completed"] * 2
    for run in runs:
        result = sweep.result(run.id)
        assert result is not None
        assert sweep.run(run.id).steps.read_text() == f"{run.id}, attempt {result.attempt}"
    names = [file.name for file in everything_in(sweep.path)]
    left = [name for name in names if name.startswith((".", "damaged", "late"))]
    assert len(left) <= len(changes), f"more than one unfinished file for each: {left}"
    return was_ended


def test_killed_before_every_change(tmp_path: Path) -> None:
    change = 1
    while endure(tmp_path / str(change), [change], kill):
        change += 1
    assert change > 40, "these are too few changes to be all"


@pytest.mark.parametrize("change", range(1, 50, 7))
def test_a_file_system_that_fails_once(tmp_path: Path, change: int) -> None:
    endure(tmp_path, [change], fail)


@pytest.mark.soak
@pytest.mark.parametrize("happens", [kill, fail])
@pytest.mark.parametrize("seed", range(50))
def test_again_and_again(tmp_path: Path, seed: int, happens: Callable[[], None]) -> None:
    """At fifty random series of moments."""
    random = Random(seed)
    endure(tmp_path, [random.randint(1, 80) for _ in range(random.randint(2, 6))], happens)
