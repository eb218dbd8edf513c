"""The search for the largest batch size in a sweep: whatever happens, no trial is made twice and no other size run."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bench.contract.results.outcomes import Outcome
from bench.contract.results.result import Heartbeat, RankEnd
from bench.contract.run import Run, Search
from bench.contract.storage.files import AttemptFolder, RunFolder, write_document
from matrix.runner.runner import Summary, SweepRunner, always
from matrix.runner.search import TRIES
from matrix.store.claim import claim
from matrix.store.judge import Process
from matrix.store.sweep_folder import SweepFolder
from tests.matrix.runner.test_killed_anywhere import at_change
from tests.support.documents import a_measurement
from tests.support.launched import Quiet, Simulated
from tests.support.runs import make_run

TRUTH = 21
TRIED = [4, 8, 16, 32, 24, 20, 22, 21]


class Memory(Simulated):
    """Ranks with memory for some batch sizes, which note each start in a file; they die with the runner.

    Args:
        happens: called in place of a start; returns False if nothing happened and the start goes on.

    """

    def __init__(self, starts: Path, truth: int = TRUTH, happens: Callable[[Run], bool] = lambda run: False) -> None:
        super().__init__(ends=True)
        self._starts = starts
        self._truth = truth
        self._own = happens
        self._statuses: dict[Process, int] = {}

    def statuses(self) -> dict[Process, int]:
        return self._statuses

    def start(self, run: Run, folder: RunFolder, attempt: AttemptFolder) -> Memory:
        with self._starts.open("a", encoding="utf-8") as file:
            file.write(f"{run.id} {run.batch_size}\n")
        write_document(attempt.heartbeat, Heartbeat(phase="training", step=1, steps=4))
        assert Run.model_validate_json(folder.run.read_text()).batch_size == run.batch_size
        self._statuses = {Process.of_rank(1): -6} if self._own(run) else {}
        if self._statuses:
            return self
        does_fit = run.batch_size <= self._truth
        if does_fit:
            attempt.steps.write_bytes(b"")
            write_document(attempt.measured, a_measurement(100.0, 1))
        for rank in range(run.world):
            end = RankEnd(rank=rank, completed=does_fit, phase="training", step=2, out_of_memory=not does_fit)
            write_document(attempt.rank_end(rank), end)
        return self


class Sweep:
    """Repeats of one combination that are run in this process."""

    def __init__(self, path: Path, repeats: int = 2, limit: int = 256) -> None:
        run = make_run(path, (1, 1, 2), batch_size=4).model_copy(update={"search": Search(start=4, limit=limit)})
        self.runs = [run.model_copy(update={"id": name, "repeat": place}) for place, name in enumerate("abc"[:repeats])]
        self.folder = SweepFolder(path / "sweep")
        self.starts = path / "starts"
        self.starts.touch()

    def run(self, memory: Memory, runs: Sequence[Run] = (), *, retry_failed: bool = False, **more: Any) -> Summary:
        with claim(self.folder.runners, lambda runner: None) as own:
            runner = SweepRunner(self.folder, memory, own, Quiet(), **more)
            return runner.run_all(runs or self.runs, max_runs=None, retry_failed=retry_failed)

    def tried(self) -> list[int]:
        """The batch sizes of all trials that were started."""
        return [size for name, size in self._started() if ".try" in name]

    def trained(self) -> list[tuple[str, int]]:
        return [(name, size) for name, size in self._started() if ".try" not in name]

    def _started(self) -> list[tuple[str, int]]:
        lines = (line.split() for line in self.starts.read_text(encoding="utf-8").splitlines())
        return [(name, int(size)) for name, size in lines]

    def requested(self, name: str) -> int:
        return self.folder.requested_run(name).batch_size


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    return Sweep(tmp_path)


def test_all_repeats_run_with_what_was_found_once(sweep: Sweep) -> None:
    summary = sweep.run(Memory(sweep.starts))
    assert summary.outcomes == {"a": "completed", "b": "completed"}
    assert sweep.tried() == TRIED
    assert sweep.trained() == [("a", TRUTH), ("b", TRUTH)]
    assert [sweep.requested(name) for name in "ab"] == [TRUTH, TRUTH]
    assert len(list(sweep.folder.path.glob("trials/*/attempts/0/start.json"))) == len(TRIED), "the evidence is kept"
    sweep.run(Memory(sweep.starts))
    assert sweep.tried() == TRIED


def assert_both(sweep: Sweep, outcome: Outcome, *said: str, requested: int) -> None:
    """Both repeats ended so, for a reason that says this, with the batch size in their run.json."""
    for name in "ab":
        result = sweep.folder.result(name)
        assert result is not None
        assert result.outcome is outcome
        assert all(part in result.reason for part in said), result.reason
        assert sweep.requested(name) == requested


def test_what_never_fits_is_out_of_memory(sweep: Sweep) -> None:
    sweep.run(Memory(sweep.starts, truth=0))
    assert sweep.tried() == [4, 2, 1]
    assert sweep.trained() == []
    assert_both(sweep, Outcome.OOM, "no batch size fits in memory", "try1-", requested=1)


def test_the_limit_is_not_passed(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, limit=10)
    sweep.run(Memory(sweep.starts))
    assert sweep.tried() == [4, 8, 10]
    assert sweep.requested("a") == 10


def test_a_trial_that_failed_decides_nothing(sweep: Sweep) -> None:
    failures = iter([False, True] + [False] * 100)  # the second trial, once
    sweep.run(Memory(sweep.starts, happens=lambda run: next(failures)))
    assert sweep.tried() == [4, 8, *TRIED[1:]]
    assert sweep.trained() == [("a", TRUTH), ("b", TRUTH)]


def test_a_trial_that_always_fails_gives_its_outcome_to_the_runs(sweep: Sweep) -> None:
    def crashes(run: Run) -> bool:
        return run.batch_size == 16

    sweep.run(Memory(sweep.starts, happens=crashes))
    assert sweep.tried() == [4, 8, *[16] * TRIES], "and not for each repeat"
    said = ("the largest batch size is unknown", "killed: rank 1 by signal 6")
    assert_both(sweep, Outcome.CRASHED, *said, requested=16)
    sweep.run(Memory(sweep.starts, happens=crashes), retry_failed=True)
    assert sweep.tried() == [4, 8, *[16] * 2 * TRIES], "asked for again, it is tried again, once for all repeats"
    sweep.run(Memory(sweep.starts), retry_failed=True)
    assert sweep.tried() == [4, 8, *[16] * 2 * TRIES, *TRIED[2:]]
    assert sweep.trained() == [("a", TRUTH), ("b", TRUTH)]


def test_a_search_stops_where_the_time_ends(sweep: Sweep) -> None:
    left = iter([""] * 4)  # before the search, and before three trials
    summary = sweep.run(Memory(sweep.starts), hindrance=lambda run: next(left, "no time"))
    assert summary.left == {"a": "no time", "b": "no time"}
    assert sweep.tried() == TRIED[:3]
    sweep.run(Memory(sweep.starts), hindrance=always)
    assert sweep.tried() == TRIED


def test_an_interrupted_search_is_continued(sweep: Sweep) -> None:
    """By Ctrl-C in a trial, which is made again."""

    def interrupted(run: Run) -> bool:
        if len(sweep.tried()) == 3:
            raise KeyboardInterrupt
        return False

    with pytest.raises(KeyboardInterrupt):
        sweep.run(Memory(sweep.starts, happens=interrupted))
    sweep.run(Memory(sweep.starts))
    assert sweep.tried() == [*TRIED[:3], *TRIED[2:]]
    assert sweep.trained() == [("a", TRUTH), ("b", TRUTH)]


@contextmanager
def fork(work: Callable[[], object]) -> Any:
    """Do something in a child meanwhile, which may die of a signal but not fail."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    yield
    _, ended = os.waitpid(child, 0)
    assert os.WIFSIGNALED(ended) or os.WEXITSTATUS(ended) == 0


@pytest.mark.parametrize(("first", "step"), [(5, 29), pytest.param(1, 1, marks=pytest.mark.soak)])
def test_a_killed_search_is_continued(tmp_path: Path, first: int, step: int) -> None:
    """Killed at every `step`-th change that it makes on the disk, from the `first`; at most one trial is made again."""
    change, killed = first, True
    while killed:
        path = tmp_path / str(change)
        path.mkdir()
        sweep = Sweep(path, repeats=1, limit=8)

        def die(sweep: Sweep = sweep, change: int = change) -> None:
            at_change(change, sweep.folder.path, lambda: os.kill(os.getpid(), signal.SIGKILL))
            sweep.run(Memory(sweep.starts, truth=6))

        with fork(die):
            pass
        killed = sweep.folder.result("a") is None
        sweep.run(Memory(sweep.starts, truth=6))
        assert list(dict.fromkeys(sweep.tried())) == [4, 8, 6, 7]
        assert len(sweep.tried()) <= 4 + 1
        assert sweep.requested("a") == 6
        change += step
    assert change > 100, "these are too few changes to be all"


def test_jobs_take_turns(tmp_path: Path) -> None:
    """Jobs of two repeats, at the same time, with claims of their own: the second finds what the first has tried."""
    sweep = Sweep(tmp_path)

    def slowly(run: Run) -> bool:
        time.sleep(0.05)
        return False

    def job(number: int) -> None:
        with claim(sweep.folder.path / "jobs" / str(number) / "runners", lambda runner: None) as own:
            runner = SweepRunner(sweep.folder, Memory(sweep.starts, happens=slowly), own, Quiet())
            runner.run_all([sweep.runs[number]], max_runs=None, retry_failed=False)

    with fork(lambda: job(0)), fork(lambda: job(1)):
        pass
    assert sweep.tried() == TRIED
    assert sorted(sweep.trained()) == [("a", TRUTH), ("b", TRUTH)]
