"""Checks of the schedulers: installed commands, and the resources of the system file."""

from __future__ import annotations

from collections.abc import Iterator

from matrix.check.item import Item, optional
from matrix.config.system import SystemFile
from matrix.schedulers.dispatch import SCHEDULERS


def schedulers(system: SystemFile) -> Iterator[Item]:
    """Yield the findings of every scheduler; a missing item is an error only for the system's scheduler."""
    for name, make in SCHEDULERS.items():
        for found in make(system).check(system):
            yield optional(
                found.name,
                found.found,
                is_there=found.is_there,
                needed=system.scheduler == name,
                remedy=found.remedy,
                needed_for=f"scheduler: {name}",
                absent="not available here",
            )
