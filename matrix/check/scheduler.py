"""The schedulers of this machine, and what the system file asks its own for."""

from __future__ import annotations

from collections.abc import Iterator

from matrix.check.item import Item, optional
from matrix.config.system import SystemFile
from matrix.schedulers.dispatch import SCHEDULERS


def schedulers(system: SystemFile) -> Iterator[Item]:
    """Yield a line for each thing that a scheduler looks for; what is missing matters for the system's own only."""
    for name, scheduler in SCHEDULERS.items():
        for found in scheduler.check(system):
            needed = system.scheduler == name
            yield optional(found.name, found.found, is_there=found.is_there, needed=needed, remedy=found.remedy)
