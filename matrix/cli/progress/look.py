"""Look at a sweep's folder, and ask its scheduler."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping
from dataclasses import replace

from bench.contract.plan import Plan
from bench.contract.results.outcomes import Outcome
from bench.contract.results.result import CANCELLED, COMPLETED, is_failure
from matrix.batch.closing import state_at_end
from matrix.cli.progress.documents import ActiveRun, ActiveRunner, JobState, LeftRuns, StatusDocument, UnfinishedRun
from matrix.cli.progress.endings import Ending, begun_reading, endings
from matrix.errors import SchedulerError
from matrix.schedulers.base import JobStatus, Scheduler
from matrix.schedulers.dispatch import batch_scheduler_of
from matrix.schedulers.states import RUNNING, meaning
from matrix.store.claim import holder
from matrix.store.jobs import JobFolder, JobOrder, job_folders, live_jobs
from matrix.store.sweep_folder import SweepFolder


def look(folder: SweepFolder) -> StatusDocument:
    """Return the outcomes so far, failures with their reasons, jobs, and the active runs.

    Raises:
        InputError: the folder is not that of a sweep.

    """
    started = folder.started()
    with begun_reading(folder, started) as endings_of:
        plan = folder.plan()
        results, newer = endings_of(filter(started.__contains__, plan.order))
    runner = holder(folder.runners)
    jobs, no_answer = _jobs(folder, results, started)
    finished = {run_id for run_id, result in results.items() if result.outcome.is_final} | newer.keys()
    running = [order for order, state in jobs if state.is_running]
    # Jobs execute the runs of a sweep with jobs, and the process that follows them does not.
    ids = [run.id for order in running for run in order.runs] if jobs else plan.order if runner else []
    counts = Counter(result.outcome for result in results.values())
    return StatusDocument(
        sweep=plan.sweep,
        folder=str(folder.path),
        runs=len(plan.order),
        outcomes={outcome: counts[outcome] for outcome in Outcome if counts[outcome]},
        not_run=len(plan.order) - len(results) - len(newer),
        unfinished=[
            UnfinishedRun(run=run_id, outcome=result.outcome, reason=result.reason)
            for run_id, result in results.items()
            if result.outcome is not Outcome.COMPLETED
        ],
        newer=newer,
        jobs=[state for _, state in jobs],
        # The process that follows the jobs submits what they leave.
        left=LeftRuns() if runner else _left(jobs, (run_id for run_id in plan.order if run_id not in finished)),
        no_answer=no_answer,
        runner=ActiveRunner(pid=runner.pid, host=runner.host, since=runner.since) if runner else None,
        active=_active(folder, filter(started.__contains__, ids), results),
        remaining_s=_remaining(plan, results) if runner and not jobs else None,
    )


def _active(folder: SweepFolder, ids: Iterable[str], results: Mapping[str, Ending]) -> list[ActiveRun]:
    """Return the runs of which an attempt has begun and has no result; what has a completed result is not repeated."""
    found = []
    for run_id in ids:
        result = results.get(run_id)
        if result is not None and result.outcome is Outcome.COMPLETED:
            continue
        if (beat := folder.heartbeat(run_id, after=result.attempt if result is not None else -1)) is not None:
            found.append(
                ActiveRun(
                    run=run_id,
                    phase=beat.phase,
                    step=beat.step + 1,
                    steps=beat.steps,
                    tokens_per_s=beat.tokens_per_s,
                    loss=beat.loss,
                )
            )
    return found


def _remaining(plan: Plan, results: Mapping[str, Ending]) -> float | None:
    """Return the seconds of all runs without a final result, if each takes the mean of its completed repeats, or else
    of all completed runs.
    """
    taken = {run_id: result.seconds for run_id, result in results.items() if result.outcome is Outcome.COMPLETED}
    if not taken:
        return None
    usual = sum(taken.values()) / len(taken)
    total = 0.0
    for cell in plan.cells:
        if cell.status != "run":
            continue
        known = [taken[run_id] for run_id in cell.runs if run_id in taken]
        ahead = sum(run_id not in results or not results[run_id].outcome.is_final for run_id in cell.all_runs)
        total += ahead * (sum(known) / len(known) if known else usual)
    return total


def _jobs(
    folder: SweepFolder, known: dict[str, Ending], started: Container[str]
) -> tuple[list[tuple[JobOrder, JobState]], str]:
    """Return every job with its recorded state, or else the scheduler's; and why that did not answer, or "".

    Args:
        known: results by run id, which need not be read again.
        started: ids of the runs that have a folder.

    """
    jobs, seen, no_answer = [(job, job.order()) for job in job_folders(folder)], {}, ""
    scheduler: Scheduler | None = None
    if live := live_jobs(folder):
        scheduler = batch_scheduler_of(jobs[-1][1].system)
        try:
            seen = scheduler.look(list(live))
        except SchedulerError as error:
            no_answer, scheduler = f"{scheduler.title} does not respond: {error}", None
    states = []
    for job, order in jobs:
        ids = [run.id for run in order.runs]
        further, _ = endings(folder, [run_id for run_id in ids if run_id not in known and run_id in started])
        results = [known[run_id] for run_id in ids if run_id in known] + list(further.values())
        states.append((order, _job(job, order, seen, results, scheduler)))
    return states, no_answer


def state_of_job(job: JobStatus) -> str:
    """Say where a job runs or why it waits: of any other the scheduler has no reason, or an old one."""
    if job.state == RUNNING:
        return f"{job.state} on {job.nodes}" if job.nodes else job.state
    ended = meaning(job.state)
    return f"{job.state}: {ended.said}" if ended is not None else f"{job.state} ({job.reason})"


def _job(
    job: JobFolder,
    order: JobOrder,
    seen: Mapping[str, JobStatus],
    results: Iterable[Ending],
    scheduler: Scheduler | None,
) -> JobState:
    """Return the state of a job; `scheduler` is None if it did not answer."""
    submitted, end = job.submitted, job.end
    ended, now = end.state if end is not None else None, None
    if end is not None:
        state = f"{end.state}: {end.said}; {end.node_hours:.3f} node-hours"
    elif submitted is None:
        state = "not submitted by `run`"
    elif scheduler is None:
        state = "unknown: no answer"
    else:
        now = seen.get(submitted.id, JobStatus("GONE", "", 0.0, ""))
        now = replace(now, state=state_at_end(job, submitted.id, now.state, scheduler))
        ended, state = now.state if meaning(now.state) else None, state_of_job(now)
    log = job.log(submitted.id) if submitted is not None else None
    return JobState(
        job=submitted.id if submitted else None,
        nodes=order.nodes,
        runs=len(order.runs),
        done=sum(result.outcome.is_final and result.job == submitted.id for result in results) if submitted else 0,
        state=state,
        end=ended,
        log=str(log) if log is not None and log.exists() else None,
        is_live=submitted is not None and ended is None,
        is_running=now is not None and now.state == RUNNING,
    )


def _left(jobs: Iterable[tuple[JobOrder, JobState]], unfinished: Iterable[str]) -> LeftRuns:
    """Return how many of the runs without a final outcome ended jobs left, each by the last job that had it."""
    submitted = [(order, state) for order, state in jobs if state.job is not None]
    last = {run.id: state.end for order, state in submitted for run in order.runs}
    last |= {run.id: None for order, state in submitted if state.is_live for run in order.runs}
    ends = [end for run_id in unfinished if (end := last.get(run_id)) is not None]
    return LeftRuns(failed=sum(map(is_failure, ends)), cancelled=ends.count(CANCELLED), completed=ends.count(COMPLETED))
