"""The end of a job, taken down: what became of it, and of the runs that were under way in it."""

from __future__ import annotations

from bench.contract.outcomes import Outcome
from bench.contract.result import JobEnd, Result
from matrix.schedulers.slurm import commands
from matrix.schedulers.slurm.commands import Seen
from matrix.schedulers.slurm.states import ENDS, in_log
from matrix.store.jobs import JobFolder, JobOrder
from matrix.store.judge import Verdict
from matrix.store.settle import LostJob, blamed, settle, write_result


def close(folder: JobFolder, order: JobOrder, job: str, seen: Seen) -> list[Result]:
    """Write a job's end, and give its runs without one their outcome; returns those.

    Raises:
        SlurmError: Slurm does not answer.
        OSError: something could not be written; whoever looks next does it again.

    """
    if seen.state != "COMPLETED":
        commands.cancel([job])  # what ended so does not come back: Slurm might start it again on other nodes
    state = seen.state
    if state == "GONE":  # its last process may have been told why
        state = in_log(folder.printed(job).rpartition(f"job {job}: ")[2]) or state
        state = state if state in ENDS else "GONE"
    meaning = ENDS[state]
    said = meaning.said
    if state == "FAILED" and (last := _last_line(folder.printed(job))):
        said = f"{said}: {last}"
    death = LostJob(job, state, said, meaning.counts)
    run_ids = [run.id for run in order.runs]
    written = [*explained(folder, run_ids, death), *settle(folder.sweep, run_ids, death)]
    folder.ended(JobEnd(id=job, state=state, said=said, seconds=seen.seconds, nodes=order.nodes))
    return written


def explained(folder: JobFolder, run_ids: list[str], death: LostJob) -> list[Result]:
    """Runs that a job's own process ended when it was told to end, and did not know why: with the reason."""
    found = []
    for run_id in run_ids:
        result = folder.sweep.result(run_id)
        if result is None or result.outcome is not Outcome.INTERRUPTED or result.lost_to is not None:
            continue
        if result.allocation is None or result.allocation.job != death.job or f"job {death.job} ended" in result.reason:
            continue
        run_folder = folder.sweep.run(run_id)
        verdict = Verdict(result.outcome, result.reason, result.evidence, result.measured)
        verdict, lost_to = blamed(run_folder, verdict, death)
        found.append(
            write_result(
                run_folder,
                verdict,
                attempt=result.attempt,
                started=result.started,
                seconds=result.seconds,
                allocation=result.allocation,
                lost_to=lost_to,
            )
        )
    return found


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
