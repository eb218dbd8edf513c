"""Results, written: of attempts that were judged, and of those that a runner left behind when it died."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from bench.contract.files import RunFolder, write_document
from bench.contract.outcomes import Outcome
from bench.contract.result import Allocation, Result
from matrix.store.judge import Attempted, Ending, Verdict, judge
from matrix.store.sweep_folder import SweepFolder, timestamp

MOST_LOST = 2
"""Jobs that a run may take with it before it is given up."""


@dataclass(frozen=True)
class Death:
    """The end of a job that had runs under way.

    Attributes:
        state: as the scheduler names it.
        said: what that means, in a sentence's part.
        counts: whether it may be the doing of the run that was under way.

    """

    job: str
    state: str
    said: str
    counts: bool


def write_result(
    folder: RunFolder,
    verdict: Verdict,
    *,
    attempt: int,
    started: str,
    seconds: float,
    allocation: Allocation | None = None,
) -> Result:
    """Write what became of a run.

    Raises:
        OSError: it could not be written.

    """
    steps = folder.attempt(attempt).steps
    if verdict.measured is not None and steps.exists():  # a runner that was killed right here has moved them
        steps.replace(folder.steps)
    result = Result(
        run=folder.path.name,
        attempt=attempt,
        outcome=verdict.outcome,
        reason=verdict.reason,
        evidence=verdict.evidence,
        started=started,
        seconds=seconds,
        allocation=allocation,
        lost_to=verdict.lost_to,
        job_end=verdict.job_end,
        measured=verdict.measured,
    )
    write_document(folder.result, result)
    return result


def settle(sweep: SweepFolder, run_ids: Iterable[str], death: Death | None = None) -> list[Result]:
    """Give attempts that a dead runner left without an outcome theirs: interrupted, unless they had come to their
    end. Their processes are gone. Where a job died with them it is named, and a run that was under way in as many
    deaths as `MOST_LOST` is given up. Returns what was written.
    """
    return [
        _settled(sweep, folder, death)
        for folder in map(sweep.run, run_ids)
        if folder.attempts() and not folder.result.exists() and folder.run.exists()
    ]


def _settled(sweep: SweepFolder, folder: RunFolder, death: Death | None) -> Result:
    attempt = folder.attempts()[-1]
    verdict = judge(sweep.asked(folder.path.name), attempt, Attempted(Ending.INTERRUPTION, {}, 0))
    verdict = blamed(folder, verdict, death)
    return write_result(folder, verdict, attempt=attempt.number, started=timestamp(), seconds=0.0)


def blamed(folder: RunFolder, verdict: Verdict, death: Death | None) -> Verdict:
    """Return the verdict on an interrupted run with its job's end, and with what counts against the run."""
    if verdict.outcome is not Outcome.INTERRUPTED or death is None:
        return verdict
    reason = f"{verdict.reason}; job {death.job} ended: {death.state} ({death.said})"
    verdict = replace(verdict, reason=reason, job_end=death.state)
    if not death.counts:
        return verdict
    verdict = replace(verdict, lost_to=death.state)
    earlier = [result for result in earlier_results(folder) if result.lost_to is not None]
    if len(earlier) + 1 < MOST_LOST:
        return verdict
    states = ", ".join([str(result.lost_to) for result in earlier] + [death.state])
    evidence = [*verdict.evidence, *(f"attempt {result.attempt}: {result.reason}" for result in earlier)]
    reason = f"given up: {len(earlier) + 1} jobs ended while it was under way ({states}); {verdict.reason}"
    return replace(verdict, outcome=_OUTCOMES.get(death.state, Outcome.CRASHED), reason=reason, evidence=evidence)


_OUTCOMES = {"OUT_OF_MEMORY": Outcome.OOM, "TIMEOUT": Outcome.TIMEOUT}


def earlier_results(folder: RunFolder) -> list[Result]:
    """Results of attempts that were followed by another."""
    found = []
    for attempt in folder.attempts():
        try:
            found.append(Result.model_validate_json((attempt.path / "result.json").read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError):  # it is the newest, or damaged
            continue
    return found


def set_aside(folder: RunFolder) -> None:
    """Keep the result of an earlier attempt with its logs; one that cannot be read is kept beside it, under a name
    that says so.
    """
    if not folder.result.exists():
        return
    try:
        earlier = Result.model_validate_json(folder.result.read_text(encoding="utf-8"))
    except ValueError:
        folder.result.replace(folder.path / f"damaged-{len(folder.attempts())}.json")
    else:
        folder.result.replace(folder.attempt(earlier.attempt).path / "result.json")
