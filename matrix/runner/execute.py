"""`xffl-bench run` on hosts that are already available: execute a planned sweep under one claim and clean up."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rich.console import Console

from matrix.errors import InputError
from matrix.host.signals import stop_signals
from matrix.planning.combinations.order import in_allocations
from matrix.planning.prepare import PreparedSweep
from matrix.runner.progress import Detail
from matrix.runner.queued import at_work
from matrix.runner.runner import Summary
from matrix.runner.session import Here, run_here, site_of, with_library
from matrix.schedulers.base import HeldAllocation
from matrix.schedulers.dispatch import batch_scheduler_of
from matrix.store.claim import Runner, claim
from matrix.store.sweep_folder import SweepFolder


def execute(
    prepared: PreparedSweep,
    folder: SweepFolder,
    console: Console,
    *,
    held: HeldAllocation | None,
    max_runs: int | None,
    retry_failed: bool,
    accept_changes: bool,
    detail: Detail = Detail.OUTCOMES,
) -> Summary:
    """Run the selected runs of a sweep that have no final result yet.

    Raises:
        InputError: the sweep was started with another matrix, system, data set or software; `xffl exec` or the xFFL
            library is needed and missing, or cannot handle the paths of this machine; or the allocation has too few
            hosts.
        SchedulerError: inside an allocation, the scheduler does not answer.
        LostClaimError: another runner took the sweep.
        LostHostError: a host of the allocation no longer answers.
        StuckError: processes could not be ended.
        KeyboardInterrupt: interrupted by SIGINT or SIGTERM; all started processes are ended.
        OSError: results could not be written; earlier results are kept.

    """
    system, runs = prepared.system, prepared.selected_runs
    if held is not None:
        system = system.on(held.allocation.hosts)
        runs = in_allocations(runs, nested=system.batch.nested)
        _check_size(prepared, held)
    site = site_of(system, folder, runs)
    runs = with_library(runs, site, prepared.image, console)
    with stop_signals(), claim(folder.runners, waiting_at(folder, console)) as own:
        frozen = folder.begin(prepared.record(), prepared.planned.plan, accept_changes=accept_changes)
        elsewhere = at_work(folder, batch_scheduler_of(system)) if held is not None else {}
        summary = run_here(
            Here(folder, frozen, system, prepared.image, own, folder.owner(frozen), held, console, detail=detail),
            [run for run in runs if run.id not in elsewhere],
            site,
            to_settle=[run_id for run_id in _known(prepared) if run_id not in elsewhere],
            max_runs=max_runs,
            retry_failed=retry_failed,
        )
        _leave(summary, folder, {run.id: elsewhere[run.id] for run in runs if run.id in elsewhere})
        return summary


def _leave(summary: Summary, folder: SweepFolder, elsewhere: Mapping[str, str]) -> None:
    """Add the runs that active jobs have, by run id; those have made some of them already."""
    for run_id, job in elsewhere.items():
        result = folder.result(run_id)
        if result is not None and result.outcome.is_final:
            summary.outcomes[run_id] = result.outcome
        else:
            summary.left[run_id] = f"in active job {job}"


def _known(prepared: PreparedSweep) -> list[str]:
    """Return the ids of all runs of the plan, and of selected ones that it does not list."""
    return list(dict.fromkeys([*prepared.planned.plan.order, *prepared.selected]))


def waiting_at(folder: SweepFolder, console: Console) -> Callable[[Runner], None]:
    """Return a function that prints which runner is waited for."""

    def waiting(runner: Runner) -> None:
        console.print(
            f"{folder.path} is being run by process {runner.pid} on {runner.host} since {runner.since}; waiting for it"
        )

    return waiting


def _check_size(prepared: PreparedSweep, held: HeldAllocation) -> None:
    """Raise InputError if a run needs more hosts than the allocation has."""
    hosts = held.allocation.hosts
    for run in prepared.selected_runs:
        if run.nodes > len(hosts):
            raise InputError(
                f"job {held.allocation.job} has {len(hosts)} nodes, and {run.id} needs {run.nodes}: leave such runs "
                "out with --only nodes=..., or run xffl-bench outside of an allocation, so that it submits jobs"
            )
