"""What a plan says that its repeats can show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.contract.results.outcomes import Outcome
from bench.contract.results.result import Result
from matrix.planning.noise import noise
from matrix.planning.power import ALPHA, FEWEST, POWER, smallest_ratio
from matrix.store.sweep_folder import SweepFolder
from reports.stats import intervals, verdicts
from tests.support.documents import SweepDocuments, a_measurement


@pytest.fixture
def sweep(tmp_path: Path) -> SweepDocuments:
    """An empty sweep of 3 repeats."""
    return SweepDocuments(tmp_path / "sweep")


@pytest.mark.parametrize("pairs", [3, 4, 5, 10, 30, 1000])
@pytest.mark.parametrize("of_run", [0.001, 0.02, 0.3])
def test_the_smallest_ratio_is_that_of_scipy(pairs: int, of_run: float) -> None:
    by_scipy = verdicts.smallest_ratio(of_run * math.sqrt(2), pairs)
    assert smallest_ratio(of_run, pairs) - 1 == pytest.approx(by_scipy - 1, rel=1e-5)


def test_a_plan_and_a_report_mean_the_same_by_it() -> None:
    assert (ALPHA, POWER) == (verdicts.ALPHA, verdicts.POWER)
    assert intervals.FEWEST_FOR_INTERVAL == FEWEST


def measured(sweep: SweepDocuments, run: str, speed: float, session: str) -> None:
    sweep.end(run, measured=a_measurement(speed, 2), session=session)


def of_sweep(sweep: SweepDocuments) -> tuple[float, int] | None:
    folder = SweepFolder(sweep.write())
    found = noise(folder.plan(), folder.result)
    return (found.deviation, found.pairs) if found else None


@pytest.fixture
def documents(sweep: SweepDocuments) -> dict[str, Sequence[str]]:
    """Runs of three strategies on two nodes, by strategy; nothing is run yet."""
    return {strategy: sweep.run(strategy, 2) for strategy in ("fsdp", "hsdp", "federated")}


def test_noise_is_that_of_pairs_of_one_session(sweep: SweepDocuments, documents: dict[str, Sequence[str]]) -> None:
    for repeat, (drift, ratio) in enumerate([(1.0, 1.1), (2.0, 1.2), (4.0, 1.3)]):
        measured(sweep, documents["fsdp"][repeat], 100 * drift, "a")
        measured(sweep, documents["hsdp"][repeat], 100 * drift * ratio, "a")
        measured(sweep, documents["federated"][repeat], 100 * drift * ratio, "b")  # no pairs: another session
    logs = [math.log(ratio) for ratio in (1.1, 1.2, 1.3)]
    mean = sum(logs) / 3
    of_pairs = math.sqrt(sum((each - mean) ** 2 for each in logs) / 2)
    assert of_sweep(sweep) == (pytest.approx(of_pairs / math.sqrt(2)), 3)


def test_noise_is_pooled_over_comparisons(sweep: SweepDocuments, documents: dict[str, Sequence[str]]) -> None:
    for repeat, (hsdp, federated) in enumerate([(1.1, 1.0), (1.2, 1.3)]):
        measured(sweep, documents["fsdp"][repeat], 100.0, "a")
        measured(sweep, documents["hsdp"][repeat], 100 * hsdp, "a")
        measured(sweep, documents["federated"][repeat], 100 * federated, "a")
    squares = [math.log(1.2 / 1.1) ** 2 / 2, math.log(1.3) ** 2 / 2]
    assert of_sweep(sweep) == (pytest.approx(math.sqrt(sum(squares) / 2 / 2)), 4)


def test_without_two_pairs_of_a_comparison_noise_is_unknown(
    sweep: SweepDocuments, documents: dict[str, Sequence[str]]
) -> None:
    assert of_sweep(sweep) is None
    measured(sweep, documents["fsdp"][0], 100.0, "a")
    for repeat in range(3):
        measured(sweep, documents["hsdp"][repeat], 100.0 + repeat, "a")
    failed = Outcome.DIVERGED
    sweep.end(documents["fsdp"][1], failed, measured=a_measurement(90.0, 2), session="a")
    assert of_sweep(sweep) is None


def test_a_strategy_that_is_the_references_own_run_has_no_noise(sweep: SweepDocuments) -> None:
    """A ratio of 1 in every pair is no measurement."""
    ids = sweep.run("fsdp", 1)
    sweep.same("hsdp", 1, "fsdp")
    for run in ids:
        measured(sweep, run, 100.0, "a")
    results: dict[str, Result | None] = {run: SweepFolder(sweep.path).result(run) for run in ids}
    assert all(results.values())
    assert of_sweep(sweep) is None
