"""What a plan says of the time after it: the jobs and their cost."""

from __future__ import annotations

from rich.console import Console

from matrix.batch.cost import cost_of
from matrix.planning.prepare import PreparedSweep
from matrix.schedulers.dispatch import scheduler_of
from matrix.store.estimate import Expected
from matrix.store.sweep_folder import SweepFolder


def print_cost(prepared: PreparedSweep, folder: SweepFolder, console: Console) -> None:
    """Print how many jobs all selected runs take, and what they may cost, if the system has jobs.

    Args:
        folder: the sweep's results, if there are any: repeats take as long as earlier ones.

    Raises:
        InputError: a run does not fit in a job.

    """
    if scheduler_of(prepared.system) is None:
        return
    runs, repeats = prepared.selected_runs, prepared.planned.plan.repeats
    expected = Expected(folder.result, runs)
    console.print(str(cost_of(runs, repeats, expected.seconds, prepared.system)), highlight=False)
