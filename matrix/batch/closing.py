"""Closing a job: record how it ended, and judge the runs that were active in it."""

from __future__ import annotations

from bench.contract.results.outcomes import Outcome
from bench.contract.results.result import JobEnd, Result
from bench.contract.storage.files import write_document
from matrix.schedulers.base import JobStatus, Scheduler
from matrix.schedulers.states import ENDS
from matrix.store.claim import Claim
from matrix.store.jobs import JobFolder, JobOrder
from matrix.store.judge import Verdict
from matrix.store.settle import LostJob, blamed, settle


def close(
    folder: JobFolder, order: JobOrder, job: str, seen: JobStatus, scheduler: Scheduler, claim: Claim, why: str = ""
) -> list[Result]:
    """Record how a job ended and judge its runs without an outcome; return the results written.

    Args:
        why: explanation of its end for people, if it is not that of its state.

    Raises:
        LostClaimError: another runner has taken the sweep.
        SchedulerError: the scheduler does not answer.
        OSError: a file could not be written; the next caller repeats all of it.

    """
    if seen.state != "COMPLETED":
        scheduler.cancel([job])  # the scheduler might requeue it on other nodes
    state = state_at_end(folder, job, seen.state, scheduler)
    meaning = ENDS[state]
    said = why or meaning.said
    if state == "FAILED" and (last := _last_line(folder.printed(job))):
        said = f"{said}: {last}"
    death = LostJob(job, state, said, meaning.counts)
    run_ids = [run.id for run in order.runs]
    written = [*explained(folder, run_ids, death, claim), *settle(folder.sweep, run_ids, death, claim=claim)]
    claim.check()
    folder.ended(JobEnd(id=job, state=state, said=said, seconds=seen.seconds, nodes=order.nodes))
    return written


def state_at_end(folder: JobFolder, job: str, state: str, scheduler: Scheduler) -> str:
    """Return the final state of a job in one that the scheduler names; of a forgotten job the log may have it."""
    if state != "GONE":
        return state
    in_log = scheduler.end_in_log(folder.printed(job))
    return in_log if in_log in ENDS else "GONE"


def explained(folder: JobFolder, run_ids: list[str], death: LostJob, claim: Claim) -> list[Result]:
    """Add the job's end to runs that its own process interrupted without knowing the cause; return their results.

    Raises:
        LostClaimError: the claim on the sweep or on the job was lost.

    """
    found = []
    for run_id in run_ids:
        result = folder.sweep.result(run_id)
        if result is None or result.outcome is not Outcome.INTERRUPTED or result.job_end is not None:
            continue
        if result.allocation is None or result.allocation.job != death.job:
            continue
        run_folder = folder.sweep.run(run_id)
        verdict = blamed(run_folder, Verdict(result.outcome, result.reason, result.evidence), death)
        changed = {name: getattr(verdict, name) for name in ("outcome", "reason", "evidence", "lost_to", "job_end")}
        found.append(result.model_copy(update=changed | {"claim": claim.name(folder.sweep.path)}))
        claim.check()
        write_document(run_folder.result, found[-1])
    return found


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
