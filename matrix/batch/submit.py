"""`xffl-bench run` from a login node: the cost estimate, submitting jobs and following them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from matrix.batch.campaign import Campaign
from matrix.batch.cost import Cost
from matrix.batch.packing import JobPack
from matrix.batch.report_job import submit_report
from matrix.errors import InputError
from matrix.host.signals import stop_signals
from matrix.planning.prepare import PreparedSweep
from matrix.runner.execute import waiting_at
from matrix.runner.progress import Detail, SweepDisplay
from matrix.runner.queued import queued
from matrix.runner.runner import Summary
from matrix.runner.session import site_of
from matrix.schedulers.dispatch import batch_scheduler_of
from matrix.schedulers.states import meaning
from matrix.store.claim import claim
from matrix.store.jobs import job_folders, report_job
from matrix.store.sweep_folder import SweepFolder
from reports.data.words import counted


def run_in_jobs(
    prepared: PreparedSweep,
    folder: SweepFolder,
    console: Console,
    *,
    max_runs: int | None,
    retry_failed: bool,
    accept_changes: bool,
    detach: bool,
    may_cost: Callable[[float], bool],
    detail: Detail = Detail.OUTCOMES,
) -> Summary:
    """Submit the unfinished runs of a sweep and, without `detach`, follow its jobs.

    Args:
        may_cost: returns True if so many node-hours are confirmed; called if they exceed the system file's limit.

    Raises:
        InputError: the sweep was started with another matrix, system or software, a run does not fit in a job, the
            scheduler refuses a job, or the node-hours were not confirmed.
        SchedulerError: the scheduler does not answer.
        KeyboardInterrupt: interrupted; the jobs continue.

    """
    site_of(prepared.system, folder, prepared.selected_runs)  # fail here rather than in a job that waited for hours
    with stop_signals(), claim(folder.runners, waiting_at(folder, console)) as own:
        record = folder.begin(prepared.record(), prepared.planned.plan, accept_changes=accept_changes)
        own.check()
        campaign = Campaign(prepared, folder, record, own, console, max_runs=max_runs, retry_failed=retry_failed)
        campaign.find()
        with SweepDisplay(console, len(prepared.selected), detail) as display:
            campaign.catch_up(display)
            cost = campaign.cost()
            _ask(prepared, cost, console, may_cost)
            if detach:
                campaign.submit(cost.packs)
                if later := campaign.cost().packs:
                    console.print(f"not submitted, by {prepared.system.scheduler}.max_jobs: {_later(later)}")
            else:
                campaign.follow(display)
        if detach and prepared.system.batch.report and campaign.news:
            submit_report(folder, prepared.system, campaign.live_ids, console)
        return campaign.summary()


def write_jobs(prepared: PreparedSweep, folder: SweepFolder, console: Console, *, accept_changes: bool) -> list[Path]:
    """Write the jobs that would be submitted; return their scripts.

    The next `run` follows those that were submitted by hand, and writes the others anew.

    Raises:
        InputError, SchedulerError: as `run_in_jobs`.

    """
    with claim(folder.runners, waiting_at(folder, console)) as own:
        record = folder.begin(prepared.record(), prepared.planned.plan, accept_changes=accept_changes)
        campaign = Campaign(prepared, folder, record, own, console, max_runs=None, retry_failed=False)
        campaign.find()
        cost = campaign.cost()
        _say(cost, console)
        return [job.script for job in campaign.write(cost.packs)]


def cancel(folder: SweepFolder) -> list[str]:
    """Cancel the jobs of a sweep that have not ended; return their ids. Finished runs are kept.

    Raises:
        SchedulerError: the scheduler does not answer.

    """
    unended = [job for job in job_folders(folder) if job.end is None]
    scheduler = batch_scheduler_of(unended[0].order().system) if unended else None
    ids = list(queued(folder, scheduler)) if scheduler else []
    if scheduler is None or not ids:
        return []
    if (report := report_job(folder)) is not None:
        ids.append(report)  # it waits for the others
    seen = scheduler.look(ids)  # a job that was cancelled counts as live until `run` records its end
    ids = [job for job in ids if job not in seen or meaning(seen[job].state) is None]
    if ids:
        scheduler.cancel(ids)
    return ids


def _later(packs: Sequence[JobPack]) -> str:
    runs, jobs = counted(sum(len(each.runs) for each in packs), "run"), counted(len(packs), "job")
    return f"{runs} in {jobs}; call the same command again once others have ended"


def _say(cost: Cost, console: Console) -> None:
    if cost.packs:
        console.print(str(cost), highlight=False)


def _ask(prepared: PreparedSweep, cost: Cost, console: Console, may_cost: Callable[[float], bool]) -> None:
    """Raise InputError if the node-hours exceed the limit and are not confirmed."""
    _say(cost, console)
    hours, limit = cost.hours, prepared.system.batch.confirm_node_hours
    if limit is not None and hours > limit and not may_cost(hours):
        raise InputError(
            f"{prepared.system.scheduler}.confirm_node_hours: this may cost {hours:.2f} node-hours, and more than "
            f"{limit:g} need confirmation: use --yes, or lower limits.expected_seconds and limits.run_seconds to the "
            "time that runs really take"
        )
