"""Means over allocations, and what a table says of repeats that share one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from scipy import stats

from bench.contract.results.outcomes import Caution
from bench.contract.results.result import Allocation
from reports.render.plotting.scaling_plot import scaling_plot
from reports.render.plotting.style import looks
from reports.tables.long_form import long_form
from reports.tables.tables import Table
from tests.reports.tables.texts import texts, the_table
from tests.support.documents import SweepDocuments, a_measurement


def in_jobs(sweep: SweepDocuments, strategy: str, nodes: int, speeds: Sequence[float], jobs: Sequence[str]) -> None:
    """Add a cell whose repeats ran in these batch jobs; an empty one is a local call."""
    for identity, speed, job in zip(sweep.run(strategy, nodes), speeds, jobs, strict=True):
        allocation = Allocation(job=job, hosts=[f"node{n}" for n in range(nodes)], switches={}) if job else None
        session = f"job {job}, runner 1" if job else "runner 1"
        measured = a_measurement(speed, nodes)
        sweep.end(identity, measured=measured, allocation=allocation, session=session)


def cautions(table: Table) -> dict[Caution, str]:
    return {notice.caution: notice.detail for notice in table.notices}


SPEEDS = [1000.0, 1010.0, 990.0, 1100.0, 1110.0, 1090.0, 905.0, 900.0, 895.0]
JOBS = ["1"] * 3 + ["2"] * 3 + ["3"] * 3


def test_the_unit_of_a_mean_over_several_allocations_is_the_allocation(sweep: SweepDocuments) -> None:
    sweep.repeats = 9
    in_jobs(sweep, "fsdp", 1, SPEEDS, JOBS)
    table = the_table(sweep)
    units = [sum(math.log(speed) for speed in SPEEDS[first : first + 3]) / 3 for first in (0, 3, 6)]
    low, high = stats.t.interval(0.95, df=2, loc=sum(units) / 3, scale=stats.sem(units))
    (row,) = long_form([table]).query("metric == 'tokens_per_s'").to_dict("records")
    assert (row["low"], row["high"]) == pytest.approx((math.exp(low), math.exp(high)))
    assert (row["count"], row["rule"], row["interval"]) == (3, "sessions", True)
    assert texts(table, "tokens_per_s")["fsdp"] == [f"997 [{math.exp(low):.0f}, {math.exp(high):,.0f}] (of 3 sessions)"]
    assert "sessions" not in texts(table, "loss_final")["fsdp"][0], "the machine has no part in a loss"
    assert Caution.FEW_SESSIONS not in cautions(table)


def test_error_bars_are_those_of_the_table(sweep: SweepDocuments) -> None:
    sweep.repeats = 9
    in_jobs(sweep, "fsdp", 1, SPEEDS, JOBS)
    table = the_table(sweep)
    (row,) = long_form([table]).query("metric == 'tokens_per_s'").to_dict("records")
    axes, *_ = scaling_plot(table, looks(["fsdp"])).axes
    (bars,) = (container for container in axes.containers if container.has_yerr)
    assert sorted(bars.lines[2][0].get_segments()[0][:, 1]) == pytest.approx([row["low"], row["high"]])


def test_two_allocations_give_the_range_of_their_means(sweep: SweepDocuments) -> None:
    sweep.repeats = 4
    in_jobs(sweep, "fsdp", 1, [1000.0, 1000.0, 1210.0, 1210.0], ["1", "1", "2", "2"])
    table = the_table(sweep)
    assert texts(table, "tokens_per_s")["fsdp"] == ["1,100 (1,000 .. 1,210) (of 2 sessions)"]
    assert Caution.FEW_SESSIONS in cautions(table), "four repeats, and no interval"


def test_one_run_of_each_allocation_is_its_own_unit(sweep: SweepDocuments) -> None:
    in_jobs(sweep, "fsdp", 1, [1000.0, 1010.0, 990.0], ["1", "2", "3"])
    table = the_table(sweep)
    assert "sessions" not in texts(table, "tokens_per_s")["fsdp"][0]
    assert Caution.FEW_SESSIONS not in cautions(table)


def test_one_allocation_gives_the_range_of_its_runs_and_no_interval(sweep: SweepDocuments) -> None:
    """How another allocation would have been is not known."""
    in_jobs(sweep, "fsdp", 1, [1000.0, 1010.0, 990.0], ["1"] * 3)
    table = the_table(sweep)
    assert texts(table, "tokens_per_s")["fsdp"] == ["1,000 (990 .. 1,010) (of 1 session)"]
    (row,) = long_form([table]).query("metric == 'tokens_per_s'").to_dict("records")
    assert (row["count"], row["rule"], row["interval"]) == (1, "sessions", False)
    assert "session" not in texts(table, "loss_final")["fsdp"][0]


def test_repeats_of_one_allocation_say_so_once(sweep: SweepDocuments) -> None:
    in_jobs(sweep, "fsdp", 1, [1000.0, 1010.0, 990.0], ["1"] * 3)
    in_jobs(sweep, "federated", 1, [1000.0, 1010.0, 991.0], ["1"] * 3)
    in_jobs(sweep, "fsdp", 2, [1900.0, 1910.0, 1890.0], ["2", "3", "4"])
    table = the_table(sweep)
    assert [notice.detail for notice in table.notices if notice.caution is Caution.FEW_SESSIONS] == ["on 1 node"]


def test_a_local_sweep_has_one_machine_by_nature(sweep: SweepDocuments) -> None:
    in_jobs(sweep, "fsdp", 1, [1000.0, 1010.0, 990.0], [""] * 3)
    assert Caution.FEW_SESSIONS not in cautions(the_table(sweep))


def test_calls_of_a_local_sweep_are_no_allocations(sweep: SweepDocuments) -> None:
    for identity, speed, call in zip(sweep.run("fsdp", 1), [1000.0, 1010.0, 990.0], [1, 1, 2], strict=True):
        sweep.end(identity, measured=a_measurement(speed, 1), session=f"runner {call}")
    shown = texts(the_table(sweep), "tokens_per_s")["fsdp"][0]
    assert shown.startswith("1,000 [")
    assert "sessions" not in shown


def test_two_repeats_of_one_allocation_have_no_interval_to_speak_of(sweep: SweepDocuments) -> None:
    sweep.repeats = 2
    in_jobs(sweep, "fsdp", 1, [1000.0, 1010.0], ["1"] * 2)
    assert set(cautions(the_table(sweep))) == {Caution.FEW_REPEATS}


def test_local_runs_beside_those_of_jobs_are_one_unit(sweep: SweepDocuments) -> None:
    """They share a machine, as those of a job do."""
    sweep.repeats = 4
    in_jobs(sweep, "fsdp", 1, [1000.0, 1000.0, 1210.0, 1210.0], ["", "", "2", "2"])
    assert texts(the_table(sweep), "tokens_per_s")["fsdp"] == ["1,100 (1,000 .. 1,210) (of 2 sessions)"]
