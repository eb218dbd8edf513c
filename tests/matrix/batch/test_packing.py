"""Which runs share a job."""

from __future__ import annotations

import pytest

from bench.contract.run import Run
from matrix.batch.packing import BEGIN, EARLY, JobPack, pack
from matrix.config.settings.slurm import SlurmSettings
from matrix.errors import InputError
from tests.support.planning import PlanText

THREE_REPEATS = """\
name: small
axes: {model: llama-tiny, strategy: [fsdp, federated], nodes: [1, 2], batch_size: [2, 4]}
strategies: {federated: {groups: 2, every: 4}}
repeats: 3
data: {path: data}
"""
WARN = 60


@pytest.fixture
def runs(plan: PlanText) -> list[Run]:
    """Four runs a repeat and node count, in the plan's random order."""
    planned = plan(THREE_REPEATS)
    return [planned.runs[run] for run in planned.plan.order]


def packed(runs: list[Run], job_minutes: int, seconds: float = 60.0) -> list[JobPack]:
    return pack(runs, lambda run: seconds, SlurmSettings(job_minutes=job_minutes, warn_seconds=WARN), "slurm")


def repeats(each: JobPack) -> list[int]:
    return sorted({run.repeat for run in each.runs})


def test_one_job_a_node_count_where_it_holds_all_in_the_order_of_the_plan(runs: list[Run]) -> None:
    found = packed(runs, job_minutes=100)
    assert [each.nodes for each in found] == [1, 2]
    for each in found:
        assert list(each.runs) == [run for run in runs if run.nodes == each.nodes]
        assert each.minutes == 12 + (BEGIN + EARLY + WARN) / 60  # and not all that a job may take
        assert each.node_hours == each.nodes * each.minutes / 60


@pytest.mark.parametrize(
    ("room", "expected"),
    [
        (4, [[0], [1], [2]]),
        (7, [[0], [1], [2]]),  # three more would fit, and are not torn from their repeat
        (8, [[0, 1], [2]]),
    ],
)
def test_a_repeat_stays_together_where_a_job_can_hold_it(runs: list[Run], room: int, expected: list[list[int]]) -> None:
    found = packed(runs, job_minutes=room + 3)
    assert [repeats(each) for each in found if each.nodes == 1] == expected
    assert [repeats(each) for each in found if each.nodes == 2] == expected


def test_a_repeat_that_no_job_can_hold_is_divided_and_nothing_is_lost(runs: list[Run]) -> None:
    found = packed(runs, job_minutes=3 + 3)
    assert all(len(each.runs) <= 3 and each.minutes <= 6 for each in found)
    assert [each.nodes for each in found] == sorted(each.nodes for each in found)
    assert sorted(run.id for each in found for run in each.runs) == sorted(run.id for run in runs)


def test_a_run_that_fits_into_no_job_is_one_sentence(runs: list[Run]) -> None:
    with pytest.raises(InputError) as caught:
        packed(runs, job_minutes=2, seconds=90.0)
    assert str(caught.value).startswith("slurm.job_minutes: 2 minutes are too short for llama-tiny.")
    assert "which may take 90 s plus 180 s of overhead: raise slurm.job_minutes" in str(caught.value)


def test_nothing_to_do_is_no_job() -> None:
    assert packed([], job_minutes=10) == []
