"""Attempts that died with their job: recorded, retried, and not retried after the second job."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.contract.results.outcomes import Outcome
from bench.contract.results.result import Allocation, AttemptStart
from bench.contract.run import Run
from bench.contract.storage.files import write_document
from matrix.errors import LostClaimError
from matrix.store.claim import Claim, claim
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


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Claim]:
    """The claim on the sweep."""
    with claim(tmp_path / "sweep" / "runners", lambda runner: None) as held:
        yield held


def begin(sweep: SweepFolder, run: Run) -> None:
    """An attempt of which nothing more was heard."""
    folder = sweep.run(run.id)
    set_aside(folder)
    attempt = folder.attempt(len(folder.attempts()))
    attempt.create()
    write_document(folder.run, run)


def test_a_run_that_took_two_jobs_with_it_is_given_up(tmp_path: Path, two_rank_run: Run, own: Claim) -> None:
    sweep = SweepFolder(tmp_path / "sweep")
    begin(sweep, two_rank_run)
    (first,) = settle(sweep, [two_rank_run.id, "never-begun"], NODE_FAIL, claim=own)
    assert (first.outcome, first.lost_to) == (Outcome.INTERRUPTED, "NODE_FAIL")
    assert "job 7 ended: NODE_FAIL (a node failed)" in first.reason
    begin(sweep, two_rank_run)
    (second,) = settle(sweep, [two_rank_run.id], LostJob("9", "TIMEOUT", "time limit reached", counts=True), claim=own)
    assert (second.outcome, second.lost_to) == (Outcome.TIMEOUT, "TIMEOUT")
    assert second.outcome.is_final
    assert second.reason.startswith("not retried: 2 jobs died during this run (NODE_FAIL, TIMEOUT)")
    assert f"attempt 0: {first.reason}" in second.evidence
    assert settle(sweep, [two_rank_run.id], NODE_FAIL, claim=own) == [], "it has its result"


def test_deaths_that_are_nobodys_fault_do_not_count(tmp_path: Path, two_rank_run: Run, own: Claim) -> None:
    sweep = SweepFolder(tmp_path / "sweep")
    for _ in range(3):
        begin(sweep, two_rank_run)
        (result,) = settle(sweep, [two_rank_run.id], LostJob("7", "PREEMPTED", "for others", counts=False), claim=own)
        assert (result.outcome, result.lost_to) == (Outcome.INTERRUPTED, None)
    begin(sweep, two_rank_run)
    (result,) = settle(sweep, [two_rank_run.id], claim=own)
    assert "job" not in result.reason, "a runner without a job"
    assert len(earlier_results(sweep.run(two_rank_run.id))) == 3


def test_a_verdict_of_its_own_stands(tmp_path: Path, two_rank_run: Run, own: Claim) -> None:
    sweep = SweepFolder(tmp_path / "sweep")
    begin(sweep, two_rank_run)
    crashed = Verdict(Outcome.CRASHED, "rank 1 failed")
    write_result(sweep.run(two_rank_run.id), crashed, claim=own, attempt=0, start=START, seconds=1.0)
    assert settle(sweep, [two_rank_run.id], NODE_FAIL, claim=own) == []
    kept = sweep.result(two_rank_run.id)
    assert kept is not None
    assert kept.outcome is Outcome.CRASHED


def test_what_a_dead_runner_recorded_of_the_start_is_kept(tmp_path: Path, two_rank_run: Run, own: Claim) -> None:
    """A start that is not recorded (version 0.1.0) or damaged is not guessed."""
    sweep = SweepFolder(tmp_path / "sweep")
    begin(sweep, two_rank_run)
    write_document(sweep.run(two_rank_run.id).attempts()[-1].start, START)
    (result,) = settle(sweep, [two_rank_run.id], NODE_FAIL, claim=own)
    known = {name: getattr(result, name) for name in AttemptStart.model_fields}
    assert known == {name: getattr(START, name) for name in AttemptStart.model_fields}
    for damage in (None, "{"):
        begin(sweep, two_rank_run)
        if damage:
            sweep.run(two_rank_run.id).attempts()[-1].start.write_text(damage)
        (result,) = settle(sweep, [two_rank_run.id], claim=own)
        assert (result.session, result.position, result.allocation) == (None, None, None)


CRASHED = Verdict(Outcome.CRASHED, "rank 1 failed")


def test_a_result_names_its_claim(tmp_path: Path, two_rank_run: Run, own: Claim) -> None:
    sweep = SweepFolder(tmp_path / "sweep")
    begin(sweep, two_rank_run)
    (result,) = settle(sweep, [two_rank_run.id], claim=own)
    assert result.claim == "runners/000001.json"
    assert sweep.result(two_rank_run.id) == result
    older = result.model_dump_json(exclude={"claim"})
    assert type(result).model_validate_json(older).claim is None


def test_a_result_of_an_attempt_that_was_judged_is_never_replaced(
    tmp_path: Path, two_rank_run: Run, own: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if the claim was lost between its check and the writing."""
    sweep = SweepFolder(tmp_path / "sweep")
    folder = sweep.run(two_rank_run.id)
    begin(sweep, two_rank_run)
    checks = 0

    def lose_after_check() -> None:
        nonlocal checks
        checks += 1
        if checks == 2:  # the last one before the result is written
            write_result(
                folder, Verdict(Outcome.HUNG, "by the next runner"), claim=other, attempt=1, start=None, seconds=1
            )

    other = Claim(own.folder, own.number)
    monkeypatch.setattr(own, "check", lose_after_check)
    with pytest.raises(
        LostClaimError, match=r"result\.json: another runner \(runners/000001.json\) has judged attempt 1"
    ):
        write_result(folder, CRASHED, claim=own, attempt=0, start=START, seconds=1.0)
    kept = sweep.result(two_rank_run.id)
    assert kept is not None
    assert (kept.attempt, kept.outcome) == (1, Outcome.HUNG)


def test_a_late_result_of_an_earlier_attempt_makes_room(tmp_path: Path, two_rank_run: Run, own: Claim) -> None:
    sweep = SweepFolder(tmp_path / "sweep")
    folder = sweep.run(two_rank_run.id)
    begin(sweep, two_rank_run)
    (judged,) = settle(sweep, [two_rank_run.id], claim=own)
    begin(sweep, two_rank_run)
    late = judged.model_copy(update={"outcome": Outcome.CRASHED})
    write_document(folder.result, late)  # as a runner without the claim did
    written = write_result(folder, CRASHED, claim=own, attempt=1, start=START, seconds=1.0)
    assert sweep.result(two_rank_run.id) == written
    assert earlier_results(folder) == [judged], "the verdict of the runner that held the claim"
    assert [file.name for file in folder.path.glob("late-*.json")] == ["late-2.json"]
