"""Throughput is tokens over wall time of the window, as seen from outside, and moves with what slows a run."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist

from bench.contract.run import Run
from bench.data.dataset import load
from bench.engines.native import train
from bench.measure.window import Steps, Trained, mean_loss, step_table, window
from bench.models.optim import build_optimizer
from tests.support.ranks import Ranks
from tests.support.runs import CPU, NoProgress, averaging, make_run, prepare, train_rank

STEP = 0.1


def by_hand(run: Run, durations: np.ndarray, aggregation: float = 0.0) -> Steps:
    """Ranks that step without waiting for each other; durations of shape (ranks, steps); the window begins at 0."""
    ends = durations.cumsum(axis=1)
    zero = ends[:, run.first_window_step - 1].max()
    averaging = np.zeros_like(durations)
    if run.every:
        averaging[:, run.every - 1 :: run.every] = aggregation
    return Steps(
        begins=ends - durations - zero,
        ends=ends - zero,
        arrivals=np.where(averaging == 0, np.nan, ends - zero - averaging),
        aggregations=averaging,
        losses=np.ones_like(durations),
        tokens=np.full_like(durations, 64.0),
    )


def test_window_by_hand(data: Path) -> None:
    """4 ranks, 16 steps of 0.1 s in the window, an aggregation of 0.06 s in every 4th: 64 x 16 x 4 tokens in 1.84 s."""
    run = make_run(data, (2, 1, 2))
    durations = np.full((4, 20), STEP)
    durations[:, 3::4] += 0.06
    found = window(run, by_hand(run, durations, aggregation=0.06))
    assert (found.first_step, found.steps, found.block) == (4, 16, 4)
    assert found.seconds == pytest.approx(1.84)
    assert found.tokens_per_s == pytest.approx(4096 / 1.84)
    assert found.block_tokens_per_s == pytest.approx([1024 / 0.46] * 4)
    assert found.step_s_quartiles[1] == pytest.approx(STEP), "the median hides the aggregation"
    assert (found.aggregations, found.aggregation_s_median) == (4, pytest.approx(0.06))


def test_groups_are_not_charged_for_each_other(data: Path) -> None:
    """Two groups that are slow in turn end together: the window is their wall time, not the sum of the slowest."""
    run = make_run(data, (2, 1, 2))
    durations = np.full((4, 20), STEP)
    durations[:2, ::2] *= 2
    durations[2:, 1::2] *= 2
    assert window(run, by_hand(run, durations)).seconds == pytest.approx(16 * 1.5 * STEP)


def test_a_slow_rank_counts_from_first_start_to_last_end(data: Path) -> None:
    run = make_run(data, (1, 1, 4))
    durations = np.full((4, 20), STEP)
    durations[3, -1] += 1.0
    found = window(run, by_hand(make_run(data, (2, 1, 2)), durations))
    assert found.seconds == pytest.approx(16 * STEP + 1.0)
    assert found.block_tokens_per_s[-1] == pytest.approx(1024 / (4 * STEP + 1.0))
    late = by_hand(make_run(data, (2, 1, 2)), np.full((4, 20), STEP))
    late.begins[1, 4] += 0.09
    assert window(run, late).seconds == pytest.approx(16 * STEP), "the first rank's start counts, not the last one's"


def test_a_pause_is_cut_out_from_the_last_ranks_end_on(data: Path) -> None:
    """Rank 1 ends step 7 late by 0.3 s, which counts; all begin step 8 together, 5 s after it, by clocks 1 ms apart."""
    run = make_run(data, (1, 1, 2))
    plain = by_hand(run, np.full((2, 20), STEP))
    begins, ends, arrivals = plain.begins.copy(), plain.ends.copy(), plain.arrivals.copy()
    ends[1, 7] += 0.3
    for times in (begins, ends, arrivals):
        times[:, 8:] += 5.3 + np.array([[0.0], [0.001]])
    ranks = [
        Trained([1.0] * 20, [64] * 20, list(begins[r]), list(ends[r]), list(arrivals[r]), [0.0] * 20, [])
        for r in range(2)
    ]
    cut = Steps.of(ranks, [7])
    assert cut.begins[:, 8] == pytest.approx([plain.begins[0, 8] + 0.3] * 2), "on all ranks the same moment"
    found = window(run, cut)
    assert found.seconds == pytest.approx(16 * STEP + 0.3)
    assert found.block_tokens_per_s == pytest.approx([512 / 0.7, 512 / 0.4, 512 / 0.4, 512 / 0.4])


def test_loss_is_weighted_by_tokens() -> None:
    assert mean_loss(np.array([1.0, 4.0]), np.array([30.0, 10.0])) == pytest.approx(1.75)


def unequal(run: Run) -> Steps:
    """4 ranks in 2 groups of 2 shards: rank 0 arrives at its averagings 0.5 s after rank 2, rank 3 0.2 s after rank 1.

    All end 0.03 s after the last one with their shard has arrived.
    """
    steps = by_hand(run, np.full((4, 20), STEP))
    averaging = np.s_[:, run.every - 1 :: run.every]
    late = np.array([0.5, 0.0, 0.0, 0.2])[:, np.newaxis]
    last = np.array([0.5, 0.2, 0.5, 0.2])[:, np.newaxis]
    steps.arrivals[averaging] = steps.begins[averaging].max() + late
    steps.aggregations[averaging] = last + 0.03 - late
    return steps


def test_an_averaging_is_wait_and_transfer_among_the_ranks_with_the_same_shard(data: Path) -> None:
    run = make_run(data, (2, 1, 2))
    found = window(run, unequal(run))
    assert found.aggregations == 4
    assert found.aggregation_s_median == pytest.approx(0.53)
    assert found.aggregation_wait_s_median == pytest.approx(0.5), "of rank 2"
    assert found.aggregation_transfer_s_median == pytest.approx(0.03)
    table = step_table(run, unequal(run), [1e-3] * 20).to_pandas().set_index(["group", "step"])
    assert table.loc[0, 3]["aggregation_wait_s"] == pytest.approx(0.2), "of rank 1, the first group's to wait longest"
    assert table.loc[1, 3]["aggregation_wait_s"] == pytest.approx(0.5)
    assert table.loc[0, 3]["aggregation_transfer_s"] == pytest.approx(0.03)
    assert table.loc[0, 3]["aggregation_s"] == pytest.approx(0.23)
    assert tuple(table.loc[0, 4][["aggregation_wait_s", "aggregation_transfer_s"]]) == (0, 0), "no averaging"


def test_an_averaging_that_the_engine_did_not_time_has_no_parts(data: Path) -> None:
    run = make_run(data, (2, 1, 2))
    steps = by_hand(run, np.full((4, 20), STEP), aggregation=np.nan)
    steps.arrivals[:] = np.nan
    found = window(run, steps)
    assert found.aggregations == 4
    assert found.aggregation_s_median is None
    assert (found.aggregation_wait_s_median, found.aggregation_transfer_s_median) == (None, None)
    unfederated = window(make_run(data, (1, 1, 4)), by_hand(make_run(data, (2, 1, 2)), np.full((4, 20), STEP)))
    assert (unfederated.aggregations, unfederated.aggregation_wait_s_median) == (0, None)


def test_step_table_has_a_row_per_step_and_group(data: Path) -> None:
    run = make_run(data, (2, 1, 2))
    table = step_table(run, by_hand(run, np.full((4, 20), STEP)), [1e-3] * 20).to_pandas()
    assert len(table) == 40
    assert list(table.groupby("step").size().unique()) == [2]
    assert table["in_window"].sum() == 32
    assert (table["tokens"] == 128).all()


def watched(rank: int, run: Run, delay_in_averaging: float, delay_in_group: float) -> tuple[object, float]:
    """Train, and take the window's time from outside: from a barrier before it to a barrier behind it."""
    moments: list[float] = []

    class Outside(NoProgress):
        def finished(self, step: int, losses: torch.Tensor) -> None:
            if delay_in_group and rank < run.layout.group and step >= run.first_window_step - 1:
                time.sleep(delay_in_group)
            if step == run.first_window_step - 1 or step == run.training.steps - 1:
                dist.barrier()
                moments.append(time.perf_counter())

    def wrap(average: Callable[[], None] | None) -> Callable[[], None] | None:
        if average is None or not delay_in_averaging:
            return average

        def slow() -> None:
            time.sleep(delay_in_averaging)
            average()

        return slow

    trained = train_rank(run, rank, wrap, Outside())[0]
    return trained, moments[1] - moments[0]


def measured(ranks: Ranks, run: Run, averaging: float = 0.0, group: float = 0.0) -> tuple[float, float]:
    """(seconds of the window as measured, as seen from outside)."""
    answers = ranks(run.world, watched, run, averaging, group)
    found = window(run, Steps.of([trained for trained, _ in answers]))
    assert found.tokens == 4 * 2 * 32 * found.steps
    return found.seconds, float(np.mean([outside for _, outside in answers]))


@pytest.mark.alone
def test_throughput_as_seen_from_outside(ranks: Ranks, data: Path) -> None:
    inside, outside = measured(ranks, make_run(data, (2, 1, 2), steps=44))
    assert inside == pytest.approx(outside, rel=0.05)


def begun_late(rank: int, run: Run, delay: float) -> object:
    """Train; the first group waits before its first step."""
    groups, model = prepare(run, rank)
    data, optimizer = load(run, rank), build_optimizer(model, run.training)
    average = averaging(model, groups)
    time.sleep(delay if rank < run.layout.group else 0)
    return train(run, model, optimizer, average, data, CPU, NoProgress())


@pytest.mark.alone
@pytest.mark.parametrize("warmup", [0, 8])
def test_clocks_agree_at_the_window(ranks: Ranks, data: Path, warmup: int) -> None:
    """A group that is late is waited for before the window, and its clock has the others' zero."""
    run = make_run(data, (2, 1, 2), every=8, block=8, steps=warmup + 8, warmup_steps=warmup)
    plain, late = (window(run, Steps.of(ranks(4, begun_late, run, delay))).seconds for delay in (0.0, 1.0))
    assert abs(late - plain) < 0.5


@pytest.mark.alone
def test_delays_move_throughput_by_what_they_last(ranks: Ranks, data: Path) -> None:
    """Delays much longer than the steps and than what a busy machine adds to them, so that the ratio is their own."""
    run = make_run(data, (2, 1, 2), steps=12)
    plain = min(measured(ranks, run)[0] for _ in range(2))
    slow, _ = measured(ranks, run, averaging=1.0)  # 2 aggregations in the window of 8 steps
    assert slow - plain == pytest.approx(2 * 1.0, rel=0.25)
    group, outside = measured(ranks, run, group=0.3)
    # one group sleeps between its steps (7 times inside the window), the other waits for it at the aggregations
    assert group - plain == pytest.approx(7 * 0.3, rel=0.25)
    assert group == pytest.approx(outside, rel=0.3)


@pytest.mark.alone
def test_waiting_for_a_slow_group_is_not_transfer(ranks: Ranks, data: Path) -> None:
    """The first group sleeps after each of its steps: 4 times between two averagings."""
    run = make_run(data, (2, 1, 2), steps=20)
    found = window(run, Steps.of([trained for trained, _ in ranks(4, watched, run, 0.0, 0.1)]))
    assert found.aggregation_wait_s_median is not None
    assert found.aggregation_transfer_s_median is not None
    assert found.aggregation_wait_s_median == pytest.approx(4 * 0.1, rel=0.25)
    assert found.aggregation_transfer_s_median < found.aggregation_wait_s_median / 5
