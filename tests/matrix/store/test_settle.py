"""Attempts that died with their job: recorded, retried, and not retried after the second job."""

from __future__ import annotations

from pathlib import Path

from bench.contract.files import write_document
from bench.contract.outcomes import Outcome
from bench.contract.result import Allocation, AttemptStart
from bench.contract.run import Run
from matrix.store.judge import Verdict
from matrix.store.settle import LostJob, earlier_results, set_aside, settle, write_result
from matrix.store.sweep_folder import SweepFolder

NODE_FAIL = LostJob("7", "NODE_FAIL", "a node failed", counts=True)


START = AttemptStart(
    started="2030-01-02T03:04:05+00:00",
    session="job 7, runner 1",
    position=4,
    allocation=Allocation(job="7", hosts=["node0"], switches={}),
)


def begin(sweep: SweepFolder, run: Run) -> None:
    """An attempt of which nothing more was heard."""
    folder = sweep.run(run.id)
    set_aside(folder)
    attempt = folder.attempt(len(folder.attempts()))
    attempt.create()
    write_document(folder.run, run)


def test_a_run_that_took_two_jobs_with_it_is_given_up(tmp_path: Path, two_rank_run: Run) -> None:
    sweep = SweepFolder(tmp_path / "sweep")
    begin(sweep, two_rank_run)
    (first,) = settle(sweep, [two_rank_run.id, "never-begun"], NODE_FAIL)
    assert (first.outcome, first.lost_to) == (Outcome.INTERRUPTED, "NODE_FAIL")
    assert "job 7 ended: NODE_FAIL (a node failed)" in first.reason
    begin(sweep, two_rank_run)
    (second,) = settle(sweep, [two_rank_run.id], LostJob("9", "TIMEOUT", "time limit reached", counts=True))
    assert (second.outcome, second.lost_to) == (Outcome.TIMEOUT, "TIMEOUT")
    assert second.outcome.is_final
    assert second.reason.startswith("not retried: 2 jobs died during this run (NODE_FAIL, TIMEOUT)")
    assert f"attempt 0: {first.reason}" in second.evidence
    assert settle(sweep, [two_rank_run.id], NODE_FAIL) == [], "it has its result"


def test_deaths_that_are_nobodys_fault_do_not_count(tmp_path: Path, two_rank_run: Run) -> None:
    sweep = SweepFolder(tmp_path / "sweep")
    for _ in range(3):
        begin(sweep, two_rank_run)
        (result,) = settle(sweep, [two_rank_run.id], LostJob("7", "PREEMPTED", "for others", counts=False))
        assert (result.outcome, result.lost_to) == (Outcome.INTERRUPTED, None)
    begin(sweep, two_rank_run)
    (result,) = settle(sweep, [two_rank_run.id])
    assert "job" not in result.reason, "a runner without a job"
    assert len(earlier_results(sweep.run(two_rank_run.id))) == 3


def test_a_verdict_of_its_own_stands(tmp_path: Path, two_rank_run: Run) -> None:
    sweep = SweepFolder(tmp_path / "sweep")
    begin(sweep, two_rank_run)
    crashed = Verdict(Outcome.CRASHED, "rank 1 failed")
    write_result(sweep.run(two_rank_run.id), crashed, attempt=0, start=START, seconds=1.0)
    assert settle(sweep, [two_rank_run.id], NODE_FAIL) == []
    kept = sweep.result(two_rank_run.id)
    assert kept is not None
    assert kept.outcome is Outcome.CRASHED


def test_what_a_dead_runner_recorded_of_the_start_is_kept(tmp_path: Path, two_rank_run: Run) -> None:
    """A start that is not recorded (version 0.1.0) or damaged is not guessed."""
    sweep = SweepFolder(tmp_path / "sweep")
    begin(sweep, two_rank_run)
    write_document(sweep.run(two_rank_run.id).attempts()[-1].start, START)
    (result,) = settle(sweep, [two_rank_run.id], NODE_FAIL)
    known = {name: getattr(result, name) for name in AttemptStart.model_fields}
    assert known == {name: getattr(START, name) for name in AttemptStart.model_fields}
    for damage in (None, "{"):
        begin(sweep, two_rank_run)
        if damage:
            sweep.run(two_rank_run.id).attempts()[-1].start.write_text(damage)
        (result,) = settle(sweep, [two_rank_run.id])
        assert (result.session, result.position, result.allocation) == (None, None, None)
