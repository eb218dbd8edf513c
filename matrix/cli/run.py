"""The commands `run`, `cancel` and, inside a batch job, `job`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from matrix.cli.arguments import (
    RESULTS,
    Assignments,
    Except,
    MatrixFile,
    Only,
    OnlySuspects,
    Results,
    SweepPath,
    SystemOption,
    find_sweep,
)
from matrix.cli.screen import screen


def run(
    matrix: MatrixFile,
    assignments: Assignments = None,
    results: Results = RESULTS,
    system: SystemOption = None,
    only: Only = None,
    excepted: Except = None,
    only_suspects: OnlySuspects = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="print the commands (batch: write the jobs) and start nothing")
    ] = False,
    profile: Annotated[
        bool,
        typer.Option(
            "--profile",
            help="instead, run each chosen combination once more and keep a profiler's trace of a few steps",
        ),
    ] = False,
    max_runs: Annotated[int | None, typer.Option("--max-runs", min=0, help="start at most N runs", metavar="N")] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="repeat runs that did not complete")] = False,
    accept_changes: Annotated[
        bool,
        typer.Option("--accept-changes", help="resume although the matrix, the system or the software has changed"),
    ] = False,
    detach: Annotated[bool, typer.Option("--detach", help="batch: submit and do not wait")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="batch: confirm the node-hours")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="print the phases of every run too")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="print no line for a run that completed")] = False,
) -> None:
    """Run a sweep; run it again to resume it."""
    from matrix.cli.backends import RunOptions, backend_of
    from matrix.cli.render import print_summary
    from matrix.cli.traces import print_traces
    from matrix.errors import InputError
    from matrix.planning.prepare import prepare
    from matrix.runner.progress import Detail
    from matrix.store.sweep_folder import SweepFolder

    def may_cost(hours: float) -> bool:
        return yes or (sys.stdin.isatty() and typer.confirm(f"submit jobs for up to {hours:.2f} node-hours?"))

    if verbose and quiet:
        raise InputError("--verbose and --quiet exclude each other: leave one out")
    detail = Detail.PHASES if verbose else Detail.FAILURES if quiet else Detail.OUTCOMES
    prepared = prepare(
        matrix, system, only or [], excepted or [], assignments or [], profile=profile, only_suspects=only_suspects
    )
    console = screen()
    folder = SweepFolder(results / prepared.sweep.name)
    options = RunOptions(max_runs, retry_failed, accept_changes, detach, may_cost, detail)
    backend = backend_of(prepared, folder, console, options, costs_confirmed=yes)
    if dry_run:
        backend.dry_run()
        return
    try:
        summary = backend.run()
    except KeyboardInterrupt:
        said = f"xffl-bench: interrupted; {backend.when_interrupted}"
        typer.echo(said, err=True)
        raise typer.Exit(130) from None
    if detach:
        console.print(f"show progress: xffl-bench status {folder.path}", highlight=False)
        return
    print_summary(summary, folder, console, asked=len(prepared.selected))
    if profile:
        print_traces(prepared, folder, console)
    if not summary.all_completed(only_started=max_runs is not None):
        raise typer.Exit(1)


def cancel(sweep: SweepPath) -> None:
    """Cancel the batch jobs of a sweep.

    Finished runs are kept. The exit status is 1 if a process runs the sweep without jobs, which Ctrl-C ends there.
    """
    from matrix.batch.submit import cancel as cancel_jobs
    from matrix.store.claim import holder
    from matrix.store.jobs import live_jobs
    from matrix.store.sweep_folder import SweepFolder

    folder = SweepFolder(find_sweep(sweep))
    if ids := cancel_jobs(folder):
        typer.echo(f"cancelled: {', '.join(ids)}")
        return
    typer.echo("this sweep has no active jobs")
    # Whoever follows jobs that were cancelled ends by itself.
    if not live_jobs(folder) and (runner := holder(folder.runners)) is not None:
        typer.echo(f"it is run by process {runner.pid} on {runner.host}: press Ctrl-C there, or `kill {runner.pid}`")
        raise typer.Exit(1)


def job(path: Annotated[Path, typer.Argument(help="results/SWEEP/jobs/N", metavar="JOB")]) -> None:
    """Execute the runs of a batch job; called by `job.sh`."""
    from matrix.batch.job_process import run_job
    from matrix.cli.render import print_summary
    from matrix.store.jobs import JobFolder

    console = screen()
    try:
        summary = run_job(path, console)
    except KeyboardInterrupt:
        typer.echo("xffl-bench: stopped by a signal; the active run will be repeated in another job", err=True)
        raise typer.Exit(130) from None
    print_summary(summary, JobFolder(path).sweep, console)
