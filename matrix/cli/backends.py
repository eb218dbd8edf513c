"""The backends of `xffl-bench run`: available hosts, or batch jobs."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console

from matrix.batch.submit import run_in_jobs, write_jobs
from matrix.cli.render import print_commands, print_jobs
from matrix.errors import InputError
from matrix.planning.prepare import PreparedSweep
from matrix.planning.ready import check_data, check_samples
from matrix.runner.execute import execute
from matrix.runner.progress import Detail
from matrix.runner.requirements import check_wandb
from matrix.runner.runner import Summary
from matrix.schedulers.base import HeldAllocation
from matrix.schedulers.dispatch import batch_scheduler_of, scheduler_of
from matrix.schedulers.local import check_hosts
from matrix.store.jobs import live_jobs
from matrix.store.sweep_folder import SweepFolder


@dataclass(frozen=True)
class RunOptions:
    """Options of `run` that are passed to the backend.

    Attributes:
        detach: submit jobs without following them.
        detail: what is printed about runs.
        may_cost: returns True if so many node-hours are confirmed; called if they exceed the system file's limit.

    """

    max_runs: int | None
    retry_failed: bool
    accept_changes: bool
    detach: bool
    may_cost: Callable[[float], bool]
    detail: Detail


class Backend(Protocol):
    """A way to execute runs. Both methods raise InputError if something that runs need is missing."""

    @property
    def when_interrupted(self) -> str:
        """What the message after Ctrl-C says of the sweep."""

    def dry_run(self) -> None:
        """Print what would be started."""

    def run(self) -> Summary:
        """Execute the runs without a final result."""


@dataclass(frozen=True)
class OnHosts:
    """Runs on this machine, on hosts reached by ssh, or in the allocation of this process."""

    prepared: PreparedSweep
    folder: SweepFolder
    console: Console
    options: RunOptions
    held: HeldAllocation | None

    when_interrupted = "run the same command again to resume"

    def dry_run(self) -> None:
        """Print the commands."""
        print_commands(self.prepared, self.folder, self.console)

    def run(self) -> Summary:
        """Execute the runs one after the other."""
        _check(self.prepared)
        return execute(
            self.prepared,
            self.folder,
            self.console,
            held=self.held,
            max_runs=self.options.max_runs,
            retry_failed=self.options.retry_failed,
            accept_changes=self.options.accept_changes,
            detail=self.options.detail,
        )


@dataclass(frozen=True)
class InJobs:
    """Runs in batch jobs."""

    prepared: PreparedSweep
    folder: SweepFolder
    console: Console
    options: RunOptions

    @property
    def when_interrupted(self) -> str:
        """Say whether jobs go on."""
        if not live_jobs(self.folder):
            return "it has no jobs; run the same command again to submit them"
        return "its jobs continue (xffl-bench cancel ends them); run the same command again to follow them"

    def dry_run(self) -> None:
        """Write the jobs without submitting them, and print their scripts."""
        _check(self.prepared)
        scripts = write_jobs(self.prepared, self.folder, self.console, accept_changes=self.options.accept_changes)
        print_jobs(scripts, batch_scheduler_of(self.prepared.system).submits_by, self.console)

    def run(self) -> Summary:
        """Submit jobs and, without `detach`, follow them."""
        _check(self.prepared)
        return run_in_jobs(
            self.prepared,
            self.folder,
            self.console,
            max_runs=self.options.max_runs,
            retry_failed=self.options.retry_failed,
            accept_changes=self.options.accept_changes,
            detach=self.options.detach,
            may_cost=self.options.may_cost,
            detail=self.options.detail,
        )


def backend_of(
    prepared: PreparedSweep, folder: SweepFolder, console: Console, options: RunOptions, *, costs_confirmed: bool
) -> Backend:
    """Return the backend for a sweep's system, inside or outside of an allocation.

    Raises:
        InputError: an option does not apply, or runs have no hosts.
        SchedulerError: the scheduler does not answer.

    """
    system = prepared.system
    scheduler = scheduler_of(system)
    if scheduler is None:
        check_hosts(prepared.selected_runs, system.xffl)
        for option, given in (("--detach", options.detach), ("--yes", costs_confirmed)):
            if given:
                raise InputError(f"{option}: system {system.name} has no jobs (scheduler: local): leave it out")
        return OnHosts(prepared, folder, console, options, held=None)
    if scheduler.agents == "here":
        check_hosts(prepared.selected_runs, system.xffl)
    held = None if options.detach else scheduler.held(os.environ)
    if held is not None:
        allocation = held.allocation
        console.print(f"inside job {allocation.job}, on {', '.join(allocation.hosts)} (--detach submits jobs)")
        return OnHosts(prepared, folder, console, options, held)
    if ignored := scheduler.ignored(os.environ):
        console.print(f"not passed on, since the system file decides: {', '.join(ignored)}")
    return InJobs(prepared, folder, console, options)


def _check(prepared: PreparedSweep) -> None:
    """Raise InputError if data, a checkpoint or a package that runs need is missing."""
    check_data(prepared.planned)
    check_wandb(prepared.selected_runs, prepared.image)
    check_samples(prepared.planned)  # last, since it reads data
