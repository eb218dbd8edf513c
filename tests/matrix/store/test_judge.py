"""Outcomes by what the ranks wrote: an exit status proves nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.contract.agent import NO_SEMAPHORES, PORT_TAKEN
from bench.contract.results.measured import Measured
from bench.contract.results.result import Heartbeat, RankEnd
from bench.contract.run import Run
from bench.contract.storage.files import AttemptFolder, write_document
from matrix.store.judge import Attempted, Ending, Process, judge
from tests.support.documents import a_measurement

AGENT = Process("the agent of node 0")
CLEAN = Attempted(Ending.ITSELF, {AGENT: 0}, oom_kills=0)
FAILED = Attempted(Ending.ITSELF, {AGENT: 1}, oom_kills=0)


@pytest.fixture
def attempt_folder(tmp_path: Path) -> AttemptFolder:
    made = AttemptFolder(tmp_path / "attempts" / "0")
    made.create()
    return made


def ended(folder: AttemptFolder, rank: int, *, step: int = 19, error: str | None = None, oom: bool = False) -> None:
    end = RankEnd(rank=rank, completed=error is None, phase="training", step=step, error=error, out_of_memory=oom)
    write_document(folder.rank_end(rank), end)


def wrote(folder: AttemptFolder, measured: Measured) -> None:
    write_document(folder.measured, measured)


def test_completed_takes_a_whole_result_and_every_rank(two_rank_run: Run, attempt_folder: AttemptFolder) -> None:
    wrote(attempt_folder, a_measurement(1000.0, nodes=1))
    ended(attempt_folder, 0)
    verdict = judge(two_rank_run, attempt_folder, CLEAN)
    assert verdict.outcome == "crashed", "rank 1 did not reach the end"
    assert verdict.measured == a_measurement(1000.0, nodes=1), "what was measured is not lost"
    ended(attempt_folder, 1)
    assert judge(two_rank_run, attempt_folder, FAILED).outcome == "completed", "a status is no proof of failure either"
    attempt_folder.measured.write_text(attempt_folder.measured.read_text()[:100])
    verdict = judge(two_rank_run, attempt_folder, CLEAN)
    assert verdict.outcome == "crashed"
    assert any("measured.json" in line for line in verdict.evidence)


def test_a_loss_that_is_no_number_diverged(two_rank_run: Run, attempt_folder: AttemptFolder) -> None:
    found = a_measurement(1000.0, nodes=1)
    wrote(attempt_folder, found.model_copy(update={"loss": found.loss.model_copy(update={"final": float("nan")})}))
    ended(attempt_folder, 0)
    ended(attempt_folder, 1)
    verdict = judge(two_rank_run, attempt_folder, CLEAN)
    assert (verdict.outcome, verdict.reason) == ("diverged", "final loss is nan")
    assert verdict.measured is not None


def test_out_of_memory_by_the_rank_s_own_word(two_rank_run: Run, attempt_folder: AttemptFolder) -> None:
    ended(attempt_folder, 0, step=2, error="ConnectionError: peer closed")
    ended(attempt_folder, 1, step=2, error="OutOfMemoryError: CUDA out of memory", oom=True)
    verdict = judge(two_rank_run, attempt_folder, FAILED)
    assert (verdict.outcome, verdict.reason) == ("oom", "rank 1 ran out of memory after step 3 of 20")


REPORT = """
Root Cause (first observed failure):
[0]:
  time      : 2026-11-22_14:30:44
  host      : localhost
  rank      : 1 (local_rank: 1)
  exitcode  : -9 (pid: 3171)
"""


@pytest.mark.parametrize(("kills", "outcome"), [(0, "crashed"), (1, "oom")])
def test_a_killed_rank_is_out_of_memory_only_if_the_kernel_says_so(
    two_rank_run: Run, attempt_folder: AttemptFolder, kills: int, outcome: str
) -> None:
    write_document(attempt_folder.heartbeat, Heartbeat(phase="training", step=4, steps=20))
    attempt_folder.node_log(0).write_text(REPORT)
    verdict = judge(two_rank_run, attempt_folder, Attempted(Ending.ITSELF, {AGENT: 1}, oom_kills=kills))
    assert verdict.outcome == outcome
    assert "after step 5 of 20" in verdict.reason


def test_the_first_error_is_the_reason(two_rank_run: Run, attempt_folder: AttemptFolder) -> None:
    ended(attempt_folder, 1, step=-1, error="ValueError: no split 'train'")
    ended(attempt_folder, 0, step=-1, error="RuntimeError: connection closed by peer")
    verdict = judge(two_rank_run, attempt_folder, FAILED)
    assert verdict.outcome == "launch-failed"
    assert verdict.reason == "rank 1 failed in training: ValueError: no split 'train', before the first step"


def test_a_heartbeat_that_cannot_be_read_is_none(two_rank_run: Run, attempt_folder: AttemptFolder) -> None:
    attempt_folder.heartbeat.write_text("", encoding="utf-8")
    verdict = judge(two_rank_run, attempt_folder, Attempted(Ending.HANG, {}, oom_kills=0))
    assert verdict.outcome == "hung"


def test_an_interrupted_attempt_that_had_come_to_its_end_is_complete(
    two_rank_run: Run, attempt_folder: AttemptFolder
) -> None:
    wrote(attempt_folder, a_measurement(1000.0, nodes=1))
    for rank in range(two_rank_run.world):
        ended(attempt_folder, rank)
    assert judge(two_rank_run, attempt_folder, Attempted(Ending.INTERRUPTION, {}, oom_kills=0)).outcome == "completed"


def test_out_of_memory_is_seen_behind_the_hang_it_caused(two_rank_run: Run, attempt_folder: AttemptFolder) -> None:
    ended(attempt_folder, 1, step=2, error="OutOfMemoryError: CUDA out of memory", oom=True)
    assert judge(two_rank_run, attempt_folder, Attempted(Ending.HANG, {}, oom_kills=0)).outcome == "oom"


def test_what_a_scheduler_writes_of_memory_counts_where_no_kernel_is_asked(
    two_rank_run: Run, attempt_folder: AttemptFolder
) -> None:
    ended = Attempted(Ending.ITSELF, {Process("srun"): -9}, oom_kills=None)
    assert judge(two_rank_run, attempt_folder, ended).outcome == "launch-failed"
    line = "srun: error: node0: task 0: Out Of Memory"
    verdict = judge(two_rank_run, attempt_folder, replace(ended, memory_line=line))
    assert verdict.outcome == "oom"
    assert line in verdict.reason


def test_of_killed_processes_the_ranks_are_the_cause_whatever_they_are_called(
    two_rank_run: Run, attempt_folder: AttemptFolder
) -> None:
    statuses = {Process("rank and file"): -15, Process("the second", rank=1): -11, AGENT: -9}
    verdict = judge(two_rank_run, attempt_folder, Attempted(Ending.ITSELF, statuses, oom_kills=None))
    assert verdict.reason == "killed: the second by signal 11, before the first step"


def test_a_machine_without_semaphores(two_rank_run: Run, attempt_folder: AttemptFolder) -> None:
    verdict = judge(two_rank_run, attempt_folder, Attempted(Ending.ITSELF, {AGENT: NO_SEMAPHORES}, oom_kills=0))
    assert (verdict.outcome, verdict.port_taken) == ("launch-failed", False)
    assert verdict.reason.startswith("no semaphores")


def test_a_port_that_another_program_has(two_rank_run: Run, attempt_folder: AttemptFolder) -> None:
    """Known from the agent's status or rank 0's record; after the first step it is no longer the launch."""
    status = Attempted(Ending.ITSELF, {AGENT: PORT_TAKEN}, oom_kills=0)
    verdict = judge(two_rank_run, attempt_folder, status)
    assert (verdict.outcome, verdict.port_taken) == ("launch-failed", True)
    assert not judge(two_rank_run, attempt_folder, replace(status, ending=Ending.INTERRUPTION)).port_taken
    end = RankEnd(rank=0, completed=False, phase="start", step=-1, error="DistNetworkError: x", port_taken=True)
    write_document(attempt_folder.rank_end(0), end)
    assert judge(two_rank_run, attempt_folder, FAILED).port_taken
    write_document(attempt_folder.rank_end(1), end.model_copy(update={"rank": 1, "step": 3}))
    assert not judge(two_rank_run, attempt_folder, FAILED).port_taken
