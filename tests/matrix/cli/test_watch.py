"""Looking at a sweep that is under way: once, again and again, and on the live line of `run`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from bench.contract.results.outcomes import Outcome
from bench.contract.results.result import Heartbeat
from bench.contract.storage.files import write_document
from matrix.cli.progress import watch as module
from matrix.cli.progress.documents import ActiveRun, ActiveRunner, JobState, StatusDocument
from matrix.cli.progress.look import look, state_of_job
from matrix.cli.progress.watch import summary, watch
from matrix.runner.progress import SweepDisplay
from matrix.schedulers.base import JobStatus
from matrix.store.claim import claim
from matrix.store.sweep_folder import SweepFolder
from tests.support.documents import SweepDocuments, a_measurement, a_result
from tests.support.planning import PlanText
from tests.support.sweeps import SmallSweep, wait_for

RUNNER = ActiveRunner(pid=7, host="node0", since="2026-01-01T00:00:00Z")


def training(step: int) -> ActiveRun:
    return ActiveRun(run="a", phase="training", step=step, steps=96, tokens_per_s=1234.0, loss=3.21)


def state(
    completed: int, *, active: list[ActiveRun] | None = None, jobs: list[JobState] | None = None, over: bool = False
) -> StatusDocument:
    return StatusDocument(
        sweep="small",
        folder="results/small",
        runs=3,
        outcomes={Outcome.COMPLETED: completed} if completed else {},
        not_run=3 - completed,
        unfinished=[],
        newer={},
        jobs=jobs or [],
        no_answer="",
        runner=None if over else RUNNER,
        active=active or [],
        remaining_s=None,
    )


def watched(states: list[StatusDocument], monkeypatch: pytest.MonkeyPatch, *, terminal: bool) -> str:
    monkeypatch.setattr(module, "EVERY", 0.0)
    looks: Iterator[StatusDocument] = iter(states)
    out = StringIO()
    console = Console(file=out, width=80, force_terminal=terminal, color_system=None, markup=False)
    console.soft_wrap = not terminal
    assert watch(lambda: next(looks), console) is states[-1]
    return out.getvalue()


def test_a_pipe_gets_a_line_for_each_change(monkeypatch: pytest.MonkeyPatch) -> None:
    states = [state(0), state(0, active=[training(51)]), state(0, active=[training(51)]), state(3, over=True)]
    assert watched(states, monkeypatch, terminal=False).splitlines() == [
        "0 of 3 runs done",
        "0 of 3 runs done; a training 51/96, 1,234 tokens/s, loss 3.210",
        "3 of 3 runs done (3 completed)",
    ]


def test_a_terminal_shows_the_whole_state(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = watched([state(1, active=[training(51)]), state(3, over=True)], monkeypatch, terminal=True)
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown).splitlines()
    assert any(line.startswith("active: a: training 51/96, 1,234 tokens/s") for line in lines), shown
    assert max(map(len, lines)) <= 80


def test_a_sweep_is_over_once_no_job_can_go_on() -> None:
    job = {"job": "1", "nodes": 2, "runs": 3, "done": 0, "state": ""}
    waiting, ended = (JobState(**job, is_live=live, is_running=False) for live in (True, False))
    assert not state(1).is_over
    assert not state(1, jobs=[waiting, ended], over=True).is_over
    assert state(1, jobs=[ended], over=True).is_over
    assert summary(state(1, jobs=[waiting], over=True)) == "1 of 3 runs done (1 completed); waiting: 1 job"


@pytest.mark.parametrize(
    ("state", "reason", "said"),
    [
        ("PENDING", "Resources", "PENDING (Resources)"),
        ("RUNNING", "None", "RUNNING on node[0-1]"),
        ("CANCELLED", "Resources", "CANCELLED: cancelled by a user or an administrator"),
    ],
)
def test_a_job_has_a_reason_only_while_it_waits(state: str, reason: str, said: str) -> None:
    assert state_of_job(JobStatus(state, reason, 1.0, "node[0-1]")) == said


def test_what_is_active_and_how_long_it_takes(tmp_path: Path) -> None:
    made = SweepDocuments(tmp_path / "sweep", nodes=(1,))
    one, two, three = made.run("fsdp", 1, speeds=[100.0])
    made.end(two, Outcome.INTERRUPTED, "the runner was stopped")
    made.write()
    folder = SweepFolder(made.path)
    beat = Heartbeat(phase="training", step=50, steps=96, tokens_per_s=10.0, loss=2.5)
    for run_id, attempt in ((one, 0), (two, 0), (two, 1)):
        place = folder.run(run_id).attempt(attempt)
        place.create()
        write_document(place.heartbeat, beat)
    idle = look(folder)
    assert (idle.remaining_s, idle.active, idle.is_over) == (None, [], True), "nobody runs it"
    with claim(folder.runners, lambda _: None):
        seen = look(folder)
    assert seen.active == [ActiveRun(run=two, phase="training", step=51, steps=96, tokens_per_s=10.0, loss=2.5)]
    taken = folder.result(one)
    assert taken is not None
    assert seen.remaining_s == 2 * taken.seconds, f"{two} again, and {three}"


def test_a_real_run_is_watched(tmp_path: Path, data: Path) -> None:
    sweep = SmallSweep(tmp_path, data)
    sweep.write(["ddp"], steps=400)
    process = sweep.begin()
    assert wait_for((sweep.folder.path / "plan.json").exists)
    lines = sweep.call("status", str(sweep.folder.path), "--watch").splitlines()
    process.communicate(timeout=200)
    seen = [line for line in lines if "training" in line and "tokens/s" in line]
    assert seen, lines
    assert re.search(r"training \d+/400, [\d,]+ tokens/s, loss \d+\.\d{3}$", seen[-1]), seen
    assert "1 of 1 run done (1 completed)" in lines


@pytest.mark.parametrize("width", [80, 140])
def test_the_live_line_has_its_facts_at_any_width(width: int, plan: PlanText, small: str) -> None:
    (run, *_) = plan(small).runs.values()
    out = StringIO()
    console = Console(file=out, width=width, force_terminal=True, color_system=None)
    with SweepDisplay(console, 1234) as display:
        display.started(run)
        display.beat(run, Heartbeat(phase="training", step=50, steps=96, tokens_per_s=1_234_567.0, loss=3.21))
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", out.getvalue()).replace("\r", "\n").splitlines()
    shown = [line for line in lines if "training 51/96, 1,234,567 tokens/s, loss 3.210" in line]
    assert shown, lines
    assert all(len(line) <= width for line in lines), lines
    assert any("0/1234" in line for line in shown), "all in one line"


def test_the_live_line_counts_a_run_that_is_interrupted_and_made_again_once() -> None:
    out = StringIO()
    result = a_result("a", a_measurement(1.0, 1))
    with SweepDisplay(Console(file=out, width=140, force_terminal=True, color_system=None), 2) as display:
        display.ended(result.model_copy(update={"outcome": Outcome.INTERRUPTED}))
        display.ended(result)
    assert "1/2" in out.getvalue()
    assert "2/2" not in out.getvalue()


def test_an_interrupted_run_is_not_done() -> None:
    found = state(1).model_copy(update={"outcomes": {Outcome.COMPLETED: 1, Outcome.INTERRUPTED: 1}})
    assert summary(found) == "1 of 3 runs done (1 completed, 1 interrupted)"
