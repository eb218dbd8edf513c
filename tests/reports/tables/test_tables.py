from __future__ import annotations

import math
from datetime import timedelta

import pytest
from scipy import stats

from bench.contract.results.measured import Machine
from bench.contract.results.outcomes import Caution, Outcome
from reports.cells.comparability import Comparability
from reports.data.frame import load
from reports.tables.long_form import long_form
from reports.tables.tables import tables
from tests.reports.tables.test_comparability import edit_measured
from tests.reports.tables.texts import texts, the_table
from tests.support.documents import START, SweepDocuments, a_measurement


def test_figures_by_hand(sweep: SweepDocuments) -> None:
    # fsdp: 1000, 2000, 3000 -> geometric mean 1817.1; the logarithms' deviation is 0.55553, so the interval is a factor
    # of exp(0.55553 * 4.302653 / sqrt(3)) = 3.975 wide on both sides
    sweep.run("fsdp", 1, speeds=[1000.0, 2000.0, 3000.0])
    # federated on 2 nodes is 1.5 times as fast in every pair, so on twice the devices 75 % as efficient
    sweep.run("federated", 2, speeds=[1500.0, 3000.0, 4500.0])
    table = the_table(sweep)
    assert texts(table, "tokens_per_s")["fsdp"] == ["1,817 [457, 7,223]", "not in the matrix"]
    assert texts(table, "tokens_per_s_per_device")["fsdp"][0].startswith("454 [")
    assert texts(table, "speed_up")["federated"][1] == "1.50"
    assert texts(table, "efficiency")["federated"][1] == "75.0 %"
    assert texts(table, "efficiency_own")["federated"][1] == "100.0 %"
    assert texts(table, "loss_validation")["fsdp"][0] == "2.6000"
    assert texts(table, "state_gib")["fsdp"][0] == "1.00 MiB"
    assert [line[-1] for line in table.layouts] == ["not in the matrix", "2 x 1 x 4"]


def test_a_repeat_three_times_as_slow_leaves_no_interval_below_zero(sweep: SweepDocuments) -> None:
    sweep.run("fsdp", 1, speeds=[9980.0, 10_020.0, 3300.0])
    shown = texts(the_table(sweep), "tokens_per_s")["fsdp"][0]
    assert shown == "6,910 [1,409, 33,889]"
    assert texts(the_table(sweep), "loss_validation")["fsdp"][0] == "2.6000"


def test_a_ratio_is_that_of_the_printed_means(sweep: SweepDocuments) -> None:
    sweep.run("fsdp", 1, speeds=[1000.0, 2000.0, 1500.0])
    sweep.run("federated", 1, speeds=[1200.0, 2100.0, 2500.0])
    frame = long_form([the_table(sweep)]).set_index(["metric", "strategy", "nodes"])["value"]
    ratio = frame["tokens_per_s", "federated", 1] / frame["tokens_per_s", "fsdp", 1]
    assert frame["ratio", "federated", 1] == pytest.approx(ratio)


def test_the_efficiency_reference_is_the_same_for_all_rows(sweep: SweepDocuments) -> None:
    sweep.repeats = 1
    sweep.run("fsdp", 1, speeds=[4000.0])
    sweep.run("federated", 1, speeds=[2000.0])
    sweep.run("federated", 2, speeds=[4000.0])
    table = the_table(sweep)
    assert texts(table, "efficiency")["federated"] == ["50.0 %", "50.0 %"]
    assert texts(table, "efficiency_own")["federated"] == ["100.0 %", "100.0 %"]
    assert [b.title for b in table.blocks if b.metric.key == "efficiency"] == ["efficiency vs fsdp on 1 node"]


def test_the_ratio_holds_the_same_nodes_and_has_an_interval_from_three_pairs(sweep: SweepDocuments) -> None:
    sweep.run("fsdp", 1, speeds=[1000.0, 1000.0, 1000.0])
    sweep.run("fsdp", 2, speeds=[2000.0, 2000.0])
    sweep.run("federated", 1, speeds=[900.0, 1000.0, 1100.0])
    sweep.run("federated", 2, speeds=[2000.0, 2420.0])
    # sqrt(1 * 1.21) = 1.1 over 2 pairs: their range
    found = texts(the_table(sweep), "ratio")["federated"]
    assert found[0].startswith("0.997 [")
    assert found[1] == "1.100 (1.000 .. 1.210) (2 of 3; not run)"


def test_cells_without_figures_say_why(sweep: SweepDocuments) -> None:
    ids = sweep.run("fsdp", 1, speeds=[1000.0])
    sweep.end(ids[1], Outcome.TIMEOUT, "stopped at 1800 s")
    sweep.run("fsdp", 2)
    for identity in sweep.run("federated", 1):
        sweep.end(identity, Outcome.OOM, "CUDA out of memory")
    sweep.impossible("federated", 2, "8 ranks do not divide into 3 equal groups")
    table = the_table(sweep)
    for block in table.blocks:
        assert all(cell.text for cells in block.cells for cell in cells)
    found = texts(table, "tokens_per_s")
    assert found["fsdp"] == ["1,000 (1 of 3; timeout, not run) [1]", "not run"]
    assert found["federated"] == ["oom [2]", "impossible [3]"]
    assert table.footnotes == [
        "timeout: stopped at 1800 s",
        "oom: CUDA out of memory",
        "impossible: 8 ranks do not divide into 3 equal groups",
    ]


def test_a_same_cell_shows_the_other_ones_value_marked(sweep: SweepDocuments) -> None:
    sweep.run("fsdp", 1, speeds=[1234.0])
    sweep.same("hsdp", 1, "fsdp")
    found = texts(the_table(sweep), "tokens_per_s")["hsdp"][0]
    assert found == "1,234 (= fsdp, 1 of 3; not run)"


def test_streams_are_a_row_only_where_they_were_run(sweep: SweepDocuments) -> None:
    sweep.axes["cuda_streams"] = [1, 2]
    sweep.run("fsdp", 2, speeds=[1000.0])
    sweep.same("fsdp", 2, "fsdp", streams=2, other_streams=1)
    sweep.run("federated", 2, speeds=[1000.0])
    sweep.run("federated", 2, speeds=[1100.0], streams=2)
    assert [row.label for row in the_table(sweep).grid.rows] == ["fsdp", "federated, 1 stream", "federated, 2 streams"]


def test_without_its_reference_a_table_says_so(sweep: SweepDocuments) -> None:
    sweep.run("fsdp", 1)
    sweep.run("federated", 1, speeds=[1000.0])
    table = the_table(sweep)
    assert texts(table, "speed_up")["federated"][0] == "no reference"
    assert [n.detail for n in table.notices if n.caution is Caution.NO_REFERENCE] == ["fsdp on 1 node"]


def test_the_caption_says_what_was_run(sweep: SweepDocuments) -> None:
    sweep.run("fsdp", 1, speeds=[1000.0])
    assert the_table(sweep).caption == (
        "llama-tiny: 125,248 parameters; sequence length 128; equal micro-batch of 4 sequences per rank and step; "
        "precision fp32; laptop: cpu, 4 ranks per node, 8 cores per host, 1 thread per rank; 3 repeats; "
        "window of 16 steps in blocks of 8 after 8 warm-up steps; energy of processors not counted; "
        "lower bound of the loss: the data's entropy rate, 2.2500 nats/token."
    )


def test_every_batch_size_has_a_table(sweep: SweepDocuments) -> None:
    sweep.run("fsdp", 1, speeds=[1000.0])
    sweep.run("fsdp", 1, speeds=[1500.0], batch=8)
    titles = [table.grid.title for table in tables(Comparability(load(sweep.write())))]
    assert titles == ["llama-tiny, batch size 4", "llama-tiny, batch size 8"]


def test_the_long_form_has_raw_numbers(sweep: SweepDocuments) -> None:
    sweep.run("fsdp", 1, speeds=[1000.0, 2000.0])
    sweep.same("hsdp", 1, "fsdp")
    found = long_form([the_table(sweep)]).query("metric == 'tokens_per_s'").set_index("strategy")
    assert tuple(found.loc["hsdp", ["value", "low", "high", "count", "interval", "same_as"]]) == pytest.approx(
        (1000 * 2**0.5, 1000, 2000, 2, False, "fsdp")
    )


def test_the_long_form_has_the_cautions_of_its_table(sweep: SweepDocuments) -> None:
    sweep.run("fsdp", 1, speeds=[1000.0], cautions=[Caution.OVERSUBSCRIBED])
    sweep.run("fsdp", 1, speeds=[1500.0] * 3, batch=8)
    found = long_form(tables(Comparability(load(sweep.write())))).groupby("table")["cautions"].unique()
    assert [list(names) for names in found] == [["oversubscribed, few-repeats"], [""]]


def in_sessions(sweep: SweepDocuments, ids: list[str], speeds: list[float], sessions: list[str], nodes: int) -> None:
    """Complete runs, each in a session of its own naming."""
    for identity, speed, session in zip(ids, speeds, sessions, strict=True):
        sweep.end(identity, measured=a_measurement(speed, nodes), session=session)


def test_node_counts_of_different_jobs_are_not_paired(sweep: SweepDocuments) -> None:
    in_sessions(sweep, sweep.run("fsdp", 1), [1000.0, 1010.0, 990.0], ["job 1, runner 1"] * 3, 1)
    in_sessions(sweep, sweep.run("fsdp", 2), [1800.0, 1820.0, 1790.0], ["job 2, runner 1"] * 3, 2)
    in_sessions(sweep, sweep.run("federated", 2), [1980.0, 2010.0, 1969.0], ["job 2, runner 1"] * 3, 2)
    table = the_table(sweep)
    assert texts(table, "efficiency")["fsdp"][1] == "90.2 % (of different sessions: 1 and 1)"
    assert texts(table, "ratio")["federated"][1].startswith("1.101 ["), "runs of one job are pairs"
    (notice,) = [notice for notice in table.notices if notice.caution is Caution.FEW_PAIRS]
    assert notice.detail == "fsdp on 2, federated on 2"
    frame = long_form([table]).set_index(["metric", "strategy", "nodes"])
    assert frame.loc[("efficiency", "fsdp", 2), "rule"] == "sessions"
    assert not frame.loc[("efficiency", "fsdp", 2), "interval"]
    assert frame.loc[("ratio", "federated", 2), "rule"] == "pairs"


def test_a_late_retry_is_no_partner(sweep: SweepDocuments) -> None:
    in_sessions(sweep, sweep.run("fsdp", 1), [1000.0, 1000.0, 1000.0], ["runner 1"] * 3, 1)
    late = ["runner 1", "runner 2", "runner 2"]
    in_sessions(sweep, sweep.run("federated", 1), [1190.0, 700.0, 700.0], late, 1)
    table = the_table(sweep)
    assert texts(table, "ratio")["federated"][0] == "1.190 (1 pair)"
    assert Caution.FEW_PAIRS in [notice.caution for notice in table.notices]


def test_a_retry_after_a_later_repeat_of_its_own_session_is_no_partner(sweep: SweepDocuments) -> None:
    sweep.run("fsdp", 1, speeds=[1000.0, 1010.0, 990.0])
    ids = sweep.run("federated", 1)
    speeds = [700.0, 1110.0, 1090.0]
    for repeat, (identity, speed) in enumerate(zip(ids, speeds, strict=True)):
        start = START + timedelta(days=repeat if repeat else 5, hours=2)
        sweep.end(identity, measured=a_measurement(speed, 1), started=start)
    table = the_table(sweep)
    assert texts(table, "ratio")["federated"][0].endswith("(2 pairs)")
    assert texts(table, "tokens_per_s")["federated"][0].startswith("946 ["), "its throughput counts all the same"
    assert texts(table, "loss_difference")["federated"][0].startswith("0.0000"), "a seed is a partner at any time"


def test_a_run_of_an_earlier_repeat_that_started_last_in_its_repeat_is_in_time(sweep: SweepDocuments) -> None:
    for strategy, hours in (("fsdp", 0), ("federated", 23)):
        for repeat, identity in enumerate(sweep.run(strategy, 1)):
            start = START + timedelta(days=repeat, hours=hours)
            sweep.end(identity, measured=a_measurement(1000.0 + repeat + hours, 1), started=start)
    frame = long_form([the_table(sweep)]).set_index(["metric", "strategy", "nodes"])
    row = frame.loc[("ratio", "federated", 1)]
    assert (row["rule"], row["count"]) == ("pairs", 3)
    assert row["pair_gap_s"] == 23 * 3600


def test_the_gap_of_pairs_is_that_of_the_farthest(sweep: SweepDocuments) -> None:
    for strategy, minutes in (("fsdp", [0, 0, 0]), ("federated", [3, 40, 7])):
        for repeat, identity in enumerate(sweep.run(strategy, 1)):
            start = START + timedelta(days=repeat, minutes=minutes[repeat])
            sweep.end(identity, measured=a_measurement(1000.0 + repeat + minutes[repeat], 1), started=start)
    frame = long_form([the_table(sweep)]).set_index(["metric", "strategy", "nodes"])["pair_gap_s"]
    assert frame["ratio", "federated", 1] == 40 * 60
    assert math.isnan(frame["tokens_per_s", "federated", 1])
    assert math.isnan(frame["loss_difference", "federated", 1])


def test_three_jobs_of_each_node_count_give_an_interval(sweep: SweepDocuments) -> None:
    in_sessions(sweep, sweep.run("fsdp", 1), [1000.0, 1010.0, 990.0], ["job 1", "job 2", "job 3"], 1)
    in_sessions(sweep, sweep.run("fsdp", 2), [1800.0, 1820.0, 1790.0], ["job 4", "job 5", "job 6"], 2)
    shown = texts(the_table(sweep), "efficiency")["fsdp"][1]
    assert shown.startswith("90.2 % [")
    assert shown.endswith("(of different sessions: 3 and 3)")


def test_what_an_averaging_takes_is_shown_where_runs_average(sweep: SweepDocuments) -> None:
    sweep.repeats = 1
    sweep.run("fsdp", 1, speeds=[1000.0])
    assert not {"aggregation_wait_s", "aggregation_transfer_s"} & {
        block.metric.key for block in the_table(sweep).blocks
    }
    (identity,) = sweep.run("federated", 1)
    measured = a_measurement(1000.0, 1)
    parts = {"aggregation_wait_s_median": 1.25, "aggregation_transfer_s_median": 0.0091}
    measured = measured.model_copy(update={"window": measured.window.model_copy(update=parts)})
    sweep.end(identity, Outcome.COMPLETED, measured=measured)
    table = the_table(sweep)
    assert texts(table, "aggregation_wait_s") == {"fsdp": ["not measured"], "federated": ["1.25 s"]}
    assert texts(table, "aggregation_transfer_s")["federated"] == ["9.10 ms"]


def test_the_caption_names_the_processor_where_there_is_no_other_device(sweep: SweepDocuments) -> None:
    sweep.repeats = 1
    (identity,) = sweep.run("fsdp", 1)
    measured = a_measurement(1000.0, 1)
    origin = measured.provenance.model_copy(update={"cpu_model": "EPYC 7763"})
    sweep.end(identity, measured=measured.model_copy(update={"provenance": origin}))
    assert "laptop: cpu (EPYC 7763), 4 ranks per node" in the_table(sweep).caption


def test_the_interval_of_a_time_never_begins_below_zero(sweep: SweepDocuments) -> None:
    """One averaging waited for a slow group: on an arithmetic scale 0.115 ± 0.422 s."""
    ids = sweep.run("federated", 2, speeds=[1000.0, 1010.0, 990.0])
    waits = [0.012, 0.022, 0.311]
    for identity, wait in zip(ids, waits, strict=True):
        edit_measured(sweep, [identity], window={"aggregation_wait_s_median": wait})
    table = the_table(sweep)
    logs = [math.log(wait) for wait in waits]
    low, high = (math.exp(bound) for bound in stats.t.interval(0.95, df=2, loc=sum(logs) / 3, scale=stats.sem(logs)))
    (row,) = long_form([table]).query("metric == 'aggregation_wait_s' and nodes == 2").to_dict("records")
    assert (row["low"], row["high"]) == pytest.approx((low, high))
    assert texts(table, "aggregation_wait_s")["federated"][-1] == f"43.5 ms [{1000 * low:.1f}, {1000 * high:,.1f}]"


def test_a_time_of_zero_is_a_time_too(sweep: SweepDocuments) -> None:
    """All groups may arrive within one tick of a clock; its logarithm is none."""
    for identity, wait in zip(sweep.run("federated", 2, speeds=[1000.0] * 3), [0.0, 0.01, 0.02], strict=True):
        edit_measured(sweep, [identity], window={"aggregation_wait_s_median": wait})
    assert texts(the_table(sweep), "aggregation_wait_s")["federated"][-1].startswith("10.0 ms [")


def test_a_figure_that_some_repeats_did_not_measure_says_of_how_many_it_is(sweep: SweepDocuments) -> None:
    for identity, joules in zip(sweep.run("fsdp", 1), [None, 3.6e6, 14.4e6], strict=True):
        machine = Machine(others=0.0, load=1.0, processor_joules=joules)
        sweep.end(identity, measured=a_measurement(1000.0, 1).model_copy(update={"machine": machine}))
    table = the_table(sweep)
    assert texts(table, "processor_energy_kwh")["fsdp"][0] == "2.00 (1.00 .. 4.00) (of 2 repeats)"
    assert "repeats" not in texts(table, "tokens_per_s")["fsdp"][0]
