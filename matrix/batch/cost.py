"""What a sweep's jobs may cost, before they are submitted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.contract.run import Run
from matrix.batch.packing import JobPack, pack
from matrix.config.settings.batch import BatchSettings
from matrix.config.system import SystemFile
from matrix.store.ahead import Searching, nothing
from reports.data.words import counted


@dataclass(frozen=True)
class Cost:
    """Jobs and their maximum cost.

    Attributes:
        spread_hours: node-hours that `allocations: 1` would save, since fewer jobs have fewer starts and margins.
        settings: the settings by which the runs were packed.
        block: block of the system file that they are in.

    """

    packs: list[JobPack]
    spread_hours: float
    settings: BatchSettings
    block: str

    @property
    def hours(self) -> float:
        """Maximum node-hours of all jobs."""
        return sum(each.node_hours for each in self.packs)

    @property
    def idle_hours(self) -> float:
        """Node-hours in which nodes idle during smaller runs."""
        return sum(each.idle_hours for each in self.packs)

    def __str__(self) -> str:
        runs = counted(sum(len(each.runs) for each in self.packs), "run")
        jobs = counted(len(self.packs), "job")
        parts = []
        if self.spread_hours > 0:
            parts.append(f"{self.block}.allocations: {self.settings.allocations} adds {self.spread_hours:.2f}")
        if self.idle_hours > 0:
            parts.append(f"{self.block}.nested leaves nodes idle in {self.idle_hours:.2f}")
        of_which = f", of which {' and '.join(parts)}" if parts else ""
        return f"{runs} in {jobs}: at most {self.hours:.2f} node-hours{of_which}"


def cost_of(
    runs: Sequence[Run],
    repeats: int,
    seconds: Callable[[Run], float],
    system: SystemFile,
    ahead: Searching = nothing,
) -> Cost:
    """Return the jobs of runs and their cost. Arguments as `pack`.

    Raises:
        InputError: a run does not fit in a job.

    """
    # Once: an estimate may read the results of several runs.
    times = {run.id: seconds(run) for run in runs}
    searches = {run.id: ahead(run) for run in runs}

    def packed(settings: BatchSettings) -> list[JobPack]:
        return pack(runs, repeats, lambda run: times[run.id], settings, system.scheduler, lambda run: searches[run.id])

    settings = system.batch
    packs, fewest = packed(settings), packed(settings.model_copy(update={"allocations": 1}))
    spread = sum(each.node_hours for each in packs) - sum(each.node_hours for each in fewest)
    return Cost(packs, spread, settings, system.scheduler)
