"""Trials of batch sizes: short runs that show whether a batch size fits in memory, each remembered by its result."""

from __future__ import annotations

import re
from collections.abc import Mapping

from bench.contract.layout import canonical_name
from bench.contract.results.outcomes import Outcome
from bench.contract.results.result import Result
from bench.contract.run import Run
from matrix.store.largest import Decided
from matrix.store.settle import earlier_results
from matrix.store.sweep_folder import SweepFolder

HEADROOM = 0.05
"""Share of its memory that a rank leaves free in a trial: runs of other lengths and repeats may need a little more."""

STEPS = 3
"""Optimizer steps of a trial: the last one has the optimizer's state and is after an averaging."""

_DECIDE = (Outcome.COMPLETED, Outcome.DIVERGED, Outcome.INVALID, Outcome.OOM)
"""Outcomes that tell whether a trial fits; those but oom are of trials of which every rank finished."""


def trial_of(run: Run, batch_size: int) -> Run:
    """Return the trial of a batch size for a run whose batch size is searched for; the same for all its repeats
    and purposes.

    Every step ends with an averaging, if the run has any: memory does not depend on the interval. Validation has as
    many samples as its largest batch.
    """
    alone = run.alone()
    training = alone.training
    validated = run.world * (training.val_batch_size or batch_size)
    trial = alone.model_copy(
        update={
            "repeat": 0,
            "purpose": "measure",
            "search": None,
            "batch_size": batch_size,
            "memory_share": 1 - HEADROOM,
            "every": 1 if run.every else 0,
            "block": 1,
            "training": training.model_copy(
                update={
                    "steps": STEPS,
                    "warmup_steps": 1,
                    "schedule_steps": None,
                    "val_samples": min(training.val_samples, validated),
                }
            ),
        }
    )
    name = f"{run.model}.{canonical_name(run.layout)}.n{run.nodes}.try{batch_size}"
    return trial.model_copy(update={"id": f"{name}-{trial.identity()}"})


def search_of(run: Run) -> str:
    """Return a name for the search of a run's batch size, which runs with the same trials share."""
    return trial_of(run, 1).identity()


def decided(sweep: SweepFolder, run: Run) -> Decided:
    """Return which batch sizes are known to fit or not to fit a run."""
    return decisions(results(sweep, run))


def decisions(tried: Mapping[int, Result]) -> Decided:
    """Return which batch sizes are known to fit or not to fit, by the results of their trials."""
    return {size: known for size, result in tried.items() if (known := fits(result)) is not None}


def results(sweep: SweepFolder, run: Run) -> dict[int, Result]:
    """Return the results of a run's trials by batch size."""
    found = {size: sweep.trial_result(trial) for size, trial in started(sweep, run).items()}
    return {size: result for size, result in found.items() if result is not None}


def started(sweep: SweepFolder, run: Run) -> dict[int, str]:
    """Return the ids of a run's trials that have a folder, by batch size."""
    every = sweep.started_trials()
    sizes = {int(match[1]) for name in every if (match := re.search(r"\.try(\d+)-", name))}
    return {size: trial for size in sorted(sizes) if (trial := trial_of(run, size).id) in every}


def fits(result: Result) -> bool | None:
    """Return whether a trial fitted in memory; None if its outcome does not tell."""
    if result.outcome not in _DECIDE:
        return None
    return result.outcome is not Outcome.OOM and not (result.measured and result.measured.memory.allocator_retries)


def undecided(sweep: SweepFolder, trial: Run) -> list[Result]:
    """Return the results of a trial's attempts that failed without telling whether it fits, oldest first."""
    folder = sweep.trial(trial.id)
    last = sweep.trial_result(trial.id)
    every = [*earlier_results(folder), *([last] if last is not None else [])]
    return [result for result in every if result.outcome.is_final and fits(result) is None]
