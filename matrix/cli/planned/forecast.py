"""What a plan says of the time after it: what will be refused, what its repeats can show, and what its jobs cost."""

from __future__ import annotations

import os
from collections.abc import Callable

from rich.console import Console

from bench.contract.results.outcomes import Caution
from bench.contract.results.result import Result
from matrix.batch.cost import Cost, cost_of
from matrix.errors import InputError
from matrix.planning.noise import has_pairs, noise
from matrix.planning.power import FEWEST, POWER, smallest_ratio
from matrix.planning.prepare import PreparedSweep
from matrix.runner.session import refused, site_of
from matrix.schedulers.dispatch import scheduler_of
from matrix.store.ahead import Searching
from matrix.store.estimate import Expected
from matrix.store.sweep_folder import SweepFolder
from matrix.store.trials import STEPS

USUAL = (0.02, 0.01, 0.05)
"""Noise of a run in the forecast of a sweep without results."""


def refused_runs(prepared: PreparedSweep, folder: SweepFolder) -> dict[str, str]:
    """Return the selected runs that cached findings about xFFL refuse, with the reason; none if it is not there."""
    runs = [run for run in prepared.selected_runs if run.engine == "xffl" and run.layout.federation > 1]
    try:
        return refused(runs, site_of(prepared.system, folder, runs), prepared.image) if runs else {}
    except InputError:  # running reports it
        return {}


def print_crowding(prepared: PreparedSweep, console: Console) -> None:
    """Say that this machine has fewer cores than the selected runs have threads, if they run on it alone."""
    system, runs = prepared.system, prepared.selected_runs
    if system.device != "cpu" or system.scheduler != "local" or system.xffl.hosts or not runs:
        return
    threads = max(run.world for run in runs) * system.threads_per_rank
    cores = len(os.sched_getaffinity(0))
    if threads > cores:
        console.print(
            f"up to {threads} threads on {cores} cores: speeds of such runs will be no finding (caution "
            f"{Caution.OVERSUBSCRIBED}); losses do not depend on it",
            highlight=False,
        )


def print_power(prepared: PreparedSweep, result: Callable[[str], Result | None], console: Console) -> None:
    """Print the smallest difference that the planned repeats can show, if there are runs to pair.

    Args:
        result: returns the earlier result of a run id, from which the noise of a run is estimated; None without one.

    """
    plan = prepared.planned.plan
    pairs = plan.repeats
    together = scheduler_of(prepared.system) is None or prepared.system.batch.nested
    if not has_pairs(plan, set(prepared.selected), across_nodes=together):
        return
    if pairs < FEWEST:
        console.print(f"repeats: {pairs} gives no interval, so no difference can be shown: use {FEWEST} or more")
        return
    known = noise(plan, result)
    shown = [known.deviation] if known else USUAL
    first, *others = [f"{smallest_ratio(each, pairs) - 1:.1%}" for each in shown]
    also = "".join(f", {ratio} if by {each:.0%}" for ratio, each in zip(others, shown[1:], strict=True))
    if known:
        why = f"with the noise of {known.pairs} earlier pairs, {known.deviation:.2%} a run"
    else:
        why = f"if runs vary by {shown[0]:.0%}"
    console.print(
        f"{pairs} pairs of runs show a difference of {first} (power {POWER:g}) {why}{also}".replace("%", " %"),
        highlight=False,
    )


def print_searches(prepared: PreparedSweep, ahead: Searching, console: Console) -> None:
    """Print how many trials the selected runs may need, and how long they may take, if batch sizes are searched for.

    Args:
        ahead: returns what is ahead before a run.

    """
    if prepared.sweep.regime != "max-batch":
        return
    searches = {found.search: (run, found) for run in prepared.selected_runs if (found := ahead(run)).trials}
    trials = sum(found.trials for _, found in searches.values())
    hours = sum(run.nodes * found.seconds for run, found in searches.values()) / 3600
    most = max((found.trials for _, found in searches.values()), default=0)
    console.print(
        f"max-batch: at most {trials} trials of {STEPS} steps are ahead, at most {most} for a combination; they may "
        f"take {hours:.2f} node-hours by limits.trial_seconds, or by trials that were made"
        if trials
        else "max-batch: all batch sizes are known",
        highlight=False,
    )


def expected_cost(prepared: PreparedSweep, result: Callable[[str], Result | None], ahead: Searching) -> Cost | None:
    """Return how many jobs all selected runs take, and what they may cost; None if the system has no jobs.

    Args:
        result: returns the earlier result of a run id, None without one: repeats take as long as earlier ones.
        ahead: returns what is ahead before a run.

    Raises:
        InputError: a run does not fit in a job.

    """
    if scheduler_of(prepared.system) is None:
        return None
    runs, repeats = prepared.selected_runs, prepared.planned.plan.repeats
    return cost_of(runs, repeats, Expected(result, runs).seconds, prepared.system, ahead)


def print_cost(
    prepared: PreparedSweep, result: Callable[[str], Result | None], ahead: Searching, console: Console
) -> None:
    """Print the expected cost, if the system has jobs. Arguments and errors are as in `expected_cost`."""
    if (cost := expected_cost(prepared, result, ahead)) is not None:
        console.print(str(cost), highlight=False)
