"""Write results: of judged attempts, and of attempts left by a dead runner."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from bench.contract.results.outcomes import Outcome
from bench.contract.results.result import AttemptStart, Result
from bench.contract.run import Run
from bench.contract.storage.files import AttemptFolder, RunFolder, write_new_document
from matrix.errors import LostClaimError
from matrix.store.claim import Claim
from matrix.store.judge import Attempted, Ending, Verdict, judge
from matrix.store.sweep_folder import SweepFolder, read_document, read_own
from matrix.store.sweep_record import timestamp

MOST_LOST = 2
"""Number of jobs that may die during a run before it is not retried."""


@dataclass(frozen=True)
class LostJob:
    """The end of a job while runs were active.

    Attributes:
        state: the scheduler's name for it.
        said: its meaning, as part of a sentence.
        counts: True if the active run may have caused it.

    """

    job: str
    state: str
    said: str
    counts: bool


def write_result(
    folder: RunFolder,
    verdict: Verdict,
    *,
    claim: Claim,
    attempt: int,
    start: AttemptStart | None,
    seconds: float,
) -> Result:
    """Write the result of a run.

    Args:
        start: start of the attempt, None if it is not recorded; the result then has the time of its writing.

    Raises:
        LostClaimError: another runner took the sweep, or has judged this attempt or a later one; nothing is written.
        OSError: the result could not be written.

    """
    claim.check()
    if folder.result.exists():
        _make_room(folder, attempt)
    steps = folder.attempt(attempt).steps
    if verdict.measured is not None and steps.exists():  # a runner killed just after this line has already moved them
        steps.replace(folder.steps)
    result = Result(
        run=folder.path.name,
        attempt=attempt,
        outcome=verdict.outcome,
        reason=verdict.reason,
        evidence=verdict.evidence,
        seconds=seconds,
        **(dict(start) if start else {"started": timestamp()}),
        lost_to=verdict.lost_to,
        job_end=verdict.job_end,
        claim=claim.name(folder.path.parent.parent),
        measured=verdict.measured,
    )
    claim.check()
    while not write_new_document(folder.result, result):  # never replaced: a check can be out of date at once
        claim.check()
        _make_room(folder, attempt)
    return result


def _make_room(folder: RunFolder, attempt: int) -> None:
    """Move a result that a runner without the claim wrote for an earlier attempt; raise LostClaimError otherwise."""
    try:
        found = read_own(folder.result, Result)
    except (FileNotFoundError, ValueError):
        pass
    else:
        if found.attempt >= attempt:
            raise LostClaimError(f"{folder.result}: another runner ({found.claim}) has judged attempt {found.attempt}")
    set_aside(folder)


def settle(
    sweep: SweepFolder, run_ids: Iterable[str], lost_job: LostJob | None = None, *, claim: Claim
) -> list[Result]:
    """Judge attempts left by a dead runner, whose processes are gone: `interrupted` unless they finished.

    `lost_job` names the job that died with them. A run that was active in `MOST_LOST` such jobs is not retried. Returns
    the written results.

    Raises:
        InputError: a newer xffl-bench wrote one of them.
        LostClaimError: as `write_result`.

    """
    started = sweep.started()
    return settled(map(sweep.run, filter(started.__contains__, run_ids)), lost_job, claim=claim)


def settled(folders: Iterable[RunFolder], lost_job: LostJob | None = None, *, claim: Claim) -> list[Result]:
    """Do as `settle` with the runs, or trials, in these folders."""
    return [
        _settled(folder, lost_job, claim)
        for folder in folders
        if not folder.result.exists() and folder.attempts() and folder.run.exists()
    ]


def _settled(folder: RunFolder, lost_job: LostJob | None, claim: Claim) -> Result:
    attempt = folder.attempts()[-1]
    verdict = judge(read_document(folder.run, Run), attempt, Attempted(Ending.INTERRUPTION, {}, 0))
    verdict = blamed(folder, verdict, lost_job)
    return write_result(folder, verdict, claim=claim, attempt=attempt.number, start=_start(attempt), seconds=0.0)


def _start(attempt: AttemptFolder) -> AttemptStart | None:
    """Return the recorded start of an attempt; None in folders of xffl-bench 0.1.0, or if the record is damaged.

    Raises:
        InputError: a newer xffl-bench wrote it.

    """
    try:
        return read_own(attempt.start, AttemptStart)
    except (FileNotFoundError, ValueError):
        return None


def blamed(folder: RunFolder, verdict: Verdict, lost_job: LostJob | None) -> Verdict:
    """Add the job's end, and what counts against the run, to the verdict on an interrupted run."""
    if verdict.outcome is not Outcome.INTERRUPTED or lost_job is None:
        return verdict
    reason = f"{verdict.reason}; job {lost_job.job} ended: {lost_job.state} ({lost_job.said})"
    verdict = replace(verdict, reason=reason, job_end=lost_job.state)
    if not lost_job.counts:
        return verdict
    verdict = replace(verdict, lost_to=lost_job.state)
    earlier = [result for result in earlier_results(folder) if result.lost_to is not None]
    if len(earlier) + 1 < MOST_LOST:
        return verdict
    states = ", ".join([str(result.lost_to) for result in earlier] + [lost_job.state])
    evidence = [*verdict.evidence, *(f"attempt {result.attempt}: {result.reason}" for result in earlier)]
    reason = f"not retried: {len(earlier) + 1} jobs died during this run ({states}); {verdict.reason}"
    return replace(verdict, outcome=_OUTCOMES.get(lost_job.state, Outcome.CRASHED), reason=reason, evidence=evidence)


_OUTCOMES = {"OUT_OF_MEMORY": Outcome.OOM, "TIMEOUT": Outcome.TIMEOUT}


def earlier_results(folder: RunFolder) -> list[Result]:
    """Return the results of all attempts but the last.

    Raises:
        InputError: a newer xffl-bench wrote one of them.

    """
    found = []
    for attempt in folder.attempts():
        try:
            found.append(read_own(attempt.path / "result.json", Result))
        except (FileNotFoundError, ValueError):  # the last attempt, or a damaged result
            continue
    return found


def set_aside(folder: RunFolder) -> None:
    """Move the result of an earlier attempt to its folder; keep an unreadable one as `damaged-<n>.json`.

    Raises:
        InputError: a newer xffl-bench wrote it; it stays where it is.

    """
    if not folder.result.exists():
        return
    try:
        earlier = read_own(folder.result, Result)
    except ValueError:
        folder.result.replace(folder.path / f"damaged-{len(folder.attempts())}.json")
    else:
        kept = folder.attempt(earlier.attempt).path / "result.json"
        # An earlier runner settled this attempt, and then the attempt's own runner wrote without the claim.
        folder.result.replace(folder.path / f"late-{len(folder.attempts())}.json" if kept.exists() else kept)
