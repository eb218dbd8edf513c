"""Which runs share a job."""

from __future__ import annotations

import pytest

from bench.contract.run import Run
from matrix.batch.cost import cost_of
from matrix.batch.packing import BEGIN, EARLY, JobPack, pack
from matrix.config.settings.slurm import SlurmSettings
from matrix.config.system import SystemFile
from matrix.errors import InputError
from matrix.planning.combinations.order import in_allocations
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


def packed(
    runs: list[Run],
    job_minutes: int,
    seconds: float = 60.0,
    *,
    allocations: int = 1,
    repeats: int = 3,
    nested: bool = False,
) -> list[JobPack]:
    settings = SlurmSettings(job_minutes=job_minutes, warn_seconds=WARN, allocations=allocations, nested=nested)
    return pack(runs, repeats, lambda run: seconds, settings, "slurm")


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


def test_by_default_each_of_three_repeats_has_an_allocation_of_its_own(runs: list[Run]) -> None:
    assert SlurmSettings().allocations == 3
    found = packed(runs, job_minutes=100, allocations=3)
    assert [(each.nodes, repeats(each)) for each in found] == [(n, [r]) for n in (1, 2) for r in (0, 1, 2)]
    for each in found:
        (repeat,) = repeats(each)
        assert list(each.runs) == [run for run in runs if (run.nodes, run.repeat) == (each.nodes, repeat)]


@pytest.mark.parametrize(
    ("allocations", "count", "room", "expected"),
    [
        (3, 9, 100, [[0, 1, 2], [3, 4, 5], [6, 7, 8]]),
        (3, 5, 100, [[0, 1], [2, 3], [4]]),
        (4, 5, 100, [[0, 1], [2], [3], [4]]),
        (7, 2, 100, [[0], [1]]),
        (2, 6, 8, [[0, 1], [2, 3], [4, 5]]),  # three repeats do not fit in a job, and four jobs would be one too many
    ],
)
def test_repeats_are_divided_over_as_many_jobs_as_asked_for(
    plan: PlanText, allocations: int, count: int, room: int, expected: list[list[int]]
) -> None:
    planned = plan(THREE_REPEATS.replace("repeats: 3", f"repeats: {count}"))
    of_one = [run for run in map(planned.runs.__getitem__, planned.plan.order) if run.nodes == 1]
    found = packed(of_one, room + 3, allocations=allocations, repeats=count)
    assert [repeats(each) for each in found] == expected


def test_what_is_left_of_different_repeats_goes_to_different_jobs(runs: list[Run]) -> None:
    """Also where runs are left of some repeats only, and where a limit of jobs submits them one after the other."""
    left = [run for run in runs if run.nodes == 1 and run.repeat > 0][1:-2]
    found = packed(left, job_minutes=100, allocations=3)
    assert [list(each.runs) for each in found] == [[run for run in left if run.repeat == r] for r in (1, 2)]


def test_jobs_submitted_one_by_one_are_those_that_all_at_once_would_be(plan: PlanText) -> None:
    """`max_jobs: 1` packs what is left after every job."""
    planned = plan(THREE_REPEATS.replace("repeats: 3", "repeats: 9"))
    left = [run for run in map(planned.runs.__getitem__, planned.plan.order) if run.nodes == 1]
    at_once, one_by_one = packed(left, 100, allocations=3, repeats=9), []
    while left:
        first, *_ = packed(left, 100, allocations=3, repeats=9)
        one_by_one.append(first)
        left = [run for run in left if run not in first.runs]
    assert one_by_one == at_once


def test_the_cost_of_spreading_is_said(runs: list[Run]) -> None:
    system = SystemFile(name="x", scheduler="slurm", device="cpu", nodes=2, ranks_per_node=4)
    cost = cost_of(runs, 3, lambda run: 60.0, system)
    overhead = (BEGIN + EARLY + system.slurm.warn_seconds) / 60
    assert len(cost.packs) == 6
    assert cost.hours == pytest.approx(3 * (4 + overhead) * (1 + 2) / 60)
    assert cost.spread_hours == pytest.approx(2 * overhead * (1 + 2) / 60), "a job's overhead, four times"
    said = f"{len(runs)} runs in 6 jobs: at most {cost.hours:.2f} node-hours"
    assert str(cost) == f"{said}, of which slurm.allocations: 3 adds {cost.spread_hours:.2f}"
    one = system.model_copy(update={"slurm": SlurmSettings(allocations=1)})
    assert str(cost_of(runs, 3, lambda run: 60.0, one)) == (
        f"{len(runs)} runs in 2 jobs: at most {cost.hours - cost.spread_hours:.2f} node-hours"
    )


@pytest.mark.parametrize(
    ("allocations", "room", "expected"), [(1, 100, [[0, 1, 2]]), (3, 100, [[0], [1], [2]]), (1, 16, [[0, 1], [2]])]
)
def test_nested_runs_of_all_node_counts_share_jobs_of_the_largest(
    runs: list[Run], allocations: int, room: int, expected: list[list[int]]
) -> None:
    found = packed(runs, room + 3, allocations=allocations, nested=True)
    assert [repeats(each) for each in found] == expected
    for each in found:
        assert list(each.runs) == [run for run in runs if run.repeat in repeats(each)], "in the plan's random order"
        small = [run for run in each.runs if run.nodes == 1]
        assert each.nodes == 2
        assert each.idle_hours == pytest.approx(len(small) * 60 / 3600), "one of two nodes"


def test_a_nested_job_is_no_larger_than_its_largest_run(runs: list[Run]) -> None:
    """Of a resumed sweep: what is left has no partners in its job."""
    (found,) = packed([run for run in runs if run.nodes == 1][-2:], 100, nested=True)
    assert (found.nodes, found.idle_hours) == (1, 0.0)


def test_the_cost_of_nesting_is_said(runs: list[Run]) -> None:
    settings = SlurmSettings(allocations=1, nested=True)
    system = SystemFile(name="x", scheduler="slurm", device="cpu", nodes=2, ranks_per_node=4, slurm=settings)
    cost = cost_of(runs, 3, lambda run: 60.0, system)
    assert cost.idle_hours == pytest.approx(12 / 60)
    assert str(cost).endswith(f"at most {cost.hours:.2f} node-hours, of which slurm.nested leaves nodes idle in 0.20")


def test_runs_are_taken_in_the_order_of_node_counts_unless_they_are_nested(runs: list[Run]) -> None:
    assert in_allocations(runs, nested=True) == runs
    in_order = in_allocations(runs, nested=False)
    assert in_order == [run for nodes in (1, 2) for run in runs if run.nodes == nodes] != runs


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
    assert packed([], job_minutes=10, allocations=3) == []
