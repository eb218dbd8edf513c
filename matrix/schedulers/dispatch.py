"""The batch schedulers by their names in system files."""

from __future__ import annotations

from collections.abc import Callable

from matrix.config.system import SystemFile
from matrix.errors import InputError
from matrix.schedulers.base import Scheduler
from matrix.schedulers.shell.scheduler import ShellScheduler
from matrix.schedulers.slurm.scheduler import SlurmScheduler

SCHEDULERS: dict[str, Callable[[SystemFile], Scheduler]] = {
    "slurm": lambda system: SlurmScheduler(system.slurm.cluster),
    "shell": lambda _: ShellScheduler(),
}
"""Without `local`: it has no jobs."""


def scheduler_of(system: SystemFile) -> Scheduler | None:
    """Return the scheduler of a system, None if `scheduler: local` runs all nodes on this machine."""
    make = SCHEDULERS.get(system.scheduler)
    return make(system) if make is not None else None


def batch_scheduler_of(system: SystemFile) -> Scheduler:
    """Return the scheduler of a system that must have one.

    Raises:
        InputError: the system has none.

    """
    scheduler = scheduler_of(system)
    if scheduler is None:
        choices = " or ".join(SCHEDULERS)
        raise InputError(f"system {system.name}: scheduler: {system.scheduler} has no jobs: choose {choices}")
    return scheduler
