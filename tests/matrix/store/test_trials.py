"""Trials of batch sizes: what they run, and how long they may take."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.contract.results.outcomes import Outcome
from bench.contract.results.result import Result
from bench.contract.run import Run
from bench.contract.storage.files import write_document
from matrix.batch.packing import BEGIN, EARLY, pack
from matrix.config.settings.slurm import SlurmSettings
from matrix.errors import InputError
from matrix.store.ahead import NOTHING, searching
from matrix.store.estimate import ROOM
from matrix.store.sweep_folder import SweepFolder
from matrix.store.trials import decided, fits, search_of, trial_of
from tests.support.documents import a_measurement, a_result
from tests.support.planning import PlanText

SWEEP = """\
name: small
regime: max-batch
max_batch: {limit: 64}
axes: {model: llama-tiny, strategy: [fsdp, federated], nodes: [1, 2], batch_size: 4}
strategies: {federated: {groups: 2, every: 8}}
training: {steps: 24, save_model: true, val_samples: 100}
wandb: {mode: offline}
repeats: 3
limits: {trial_seconds: 10, run_seconds: 100}
data: {path: data}
"""
WORST = 5 + 5  # doublings from 4 to 64, which does not fit; then between 32 and 64


@pytest.fixture
def runs(plan: PlanText) -> list[Run]:
    planned = plan(SWEEP)
    return [planned.runs[run] for run in planned.plan.order]


def of(runs: list[Run], strategy: str, nodes: int) -> list[Run]:
    return sorted(
        (run for run in runs if (run.labels["strategy"], run.nodes) == (strategy, nodes)), key=lambda run: run.repeat
    )


def keep(folder: SweepFolder, run: Run, size: int, outcome: Outcome, seconds: float = 20.0) -> Result:
    """Write the result of a trial."""
    trial = trial_of(run, size)
    measured = a_measurement(100.0, 1) if outcome is Outcome.COMPLETED else None
    result = a_result(trial.id, a_measurement(100.0, 1), seconds=seconds).model_copy(
        update={"outcome": outcome, "measured": measured}
    )
    folder.trial(trial.id).path.mkdir(parents=True)
    write_document(folder.trial(trial.id).result, result)
    return result


def test_a_trial_is_a_short_run_of_what_takes_memory(runs: list[Run]) -> None:
    run = of(runs, "federated", 2)[1]
    trial = trial_of(run, 8)
    assert (trial.batch_size, trial.search, trial.memory_share) == (8, None, 0.95)
    assert (trial.training.steps, trial.every, trial.block) == (3, 1, 1), "an averaging, and steps before and after it"
    assert trial.training.val_samples == 8 * 8, "a whole batch of each rank"
    assert trial_of(run, 64).training.val_samples == 100, "and no more than there are"
    assert (trial.training.save_model, trial.wandb.mode) == (False, "disabled")
    assert Run.model_validate_json(trial.model_dump_json()) == trial, "ranks can read it"
    assert trial_of(of(runs, "fsdp", 2)[0], 8).every == 0


def test_repeats_share_their_trials_and_other_combinations_have_their_own(runs: list[Run]) -> None:
    ids = {(run.labels["strategy"], run.nodes): set[str]() for run in runs}
    for run in runs:
        ids[run.labels["strategy"], run.nodes].add(trial_of(run, 8).id)
    assert all(len(each) == 1 for each in ids.values())
    assert len(set.union(*ids.values())) == 4
    assert len({search_of(run) for run in runs}) == 4
    run = runs[0]
    longer = run.model_copy(update={"training": run.training.model_copy(update={"steps": 48})})
    assert trial_of(run, 8).id == trial_of(longer, 8).id, "memory does not depend on the number of steps"
    wider = run.model_copy(update={"training": run.training.model_copy(update={"sequence_length": 64})})
    assert trial_of(run, 8).id != trial_of(wider, 8).id


def test_the_identity_of_a_run_does_not_depend_on_what_is_found(runs: list[Run]) -> None:
    run = runs[0]
    assert run.model_copy(update={"batch_size": 17}).identity() == run.identity()
    assert run.id.endswith(run.identity()[:6])
    assert len({each.id for each in runs}) == len(runs)


def test_an_outcome_decides_or_does_not(runs: list[Run], tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path)
    run = runs[0]
    outcomes = [Outcome.COMPLETED, Outcome.OOM, Outcome.CRASHED, Outcome.TIMEOUT, Outcome.INTERRUPTED, Outcome.HUNG]
    known = [fits(keep(folder, run, size, outcome)) for size, outcome in enumerate(outcomes, 1)]
    assert known == [True, False, None, None, None, None]
    assert decided(folder, run) == {1: True, 2: False}
    result = a_result("a", a_measurement(100.0, 1))
    assert result.measured is not None
    memory = result.measured.memory.model_copy(update={"allocator_retries": 1})
    tight = result.model_copy(update={"measured": result.measured.model_copy(update={"memory": memory})})
    assert fits(tight) is False, "the allocator had to free its cache"
    assert fits(result.model_copy(update={"outcome": Outcome.DIVERGED})), "all of it was in memory"


def test_the_time_ahead_is_that_of_all_trials(runs: list[Run], tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path)
    run, *others = of(runs, "fsdp", 1)
    ahead = searching(folder)
    assert [ahead(run).trials, ahead(run).seconds] == [WORST, WORST * 10]
    assert all(ahead(other) == ahead(run) for other in others)
    keep(folder, run, 4, Outcome.COMPLETED)
    keep(folder, run, 8, Outcome.OOM)
    assert [ahead(run).trials, ahead(run).seconds] == [2, 2 * ROOM * 20]
    keep(folder, run, 6, Outcome.OOM)
    keep(folder, run, 5, Outcome.CRASHED, seconds=1.0)
    assert ahead(run).trials == 1
    assert ahead(of(runs, "fsdp", 2)[0]).trials == WORST
    assert ahead(run.model_copy(update={"search": None})) == NOTHING


def test_every_job_has_time_for_the_searches_of_its_runs_once(runs: list[Run], tmp_path: Path) -> None:
    def packed(allocations: int, job_minutes: int = 100) -> list[tuple[int, int]]:
        settings = SlurmSettings(job_minutes=job_minutes, warn_seconds=60, allocations=allocations)
        jobs = pack(runs, 3, lambda run: 60.0, settings, "slurm", searching(SweepFolder(tmp_path)))
        return [(len(job.runs), job.minutes) for job in jobs]

    overhead = round((BEGIN + EARLY + 60) / 60)
    searches = 2 * WORST * 10 / 60  # minutes, of two combinations of one node count
    assert packed(1) == [(6, -(-(6 * 60 + searches * 60) // 60) + overhead)] * 2
    assert packed(3) == [(2, -(-(2 * 60 + searches * 60) // 60) + overhead)] * 6
    alone = round(60 + WORST * 10) // 60 + 1 + overhead
    assert packed(1, alone) == [(1, alone)] * 12
    with pytest.raises(InputError, match=f"{WORST} trials of its batch size included.*lower limits.trial_seconds"):
        packed(1, alone - 1)
