"""A rank's speed in a matrix product is what it keeps up beside the others."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import torch

from bench.host import matmul
from bench.host.matmul import cpu_size, done_within, measure_matmul
from bench.host.software.provenance import cores
from bench.host.speed import utilisation
from tests.support.ranks import RANKS, Ranks
from tests.support.runs import CPU, make_run


def figure_and_core_time(_: int) -> tuple[float, float, float]:
    """What a rank reports; its FLOP/s by the time for which it had a core; the share of the time in which it had one.

    All three are of the same products: a machine with other work has another speed a second later.
    """
    moments: list[tuple[float, float]] = []
    whole = matmul._products

    def products(*arguments: Any) -> Iterator[float]:
        for finished in whole(*arguments):
            moments.append((finished, time.thread_time()))
            yield finished

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matmul, "_products", products)
        figure = measure_matmul("fp32", CPU)
    (begin, had), (end, has) = moments[1], moments[-1]
    flops = 2.0 * cpu_size(torch.get_num_threads()) ** 3 * (len(moments) - 2)
    return figure, flops / (has - had), (has - had) / (end - begin)


@pytest.mark.alone
def test_more_ranks_than_cores_do_not_multiply_what_the_cores_can_do(ranks: Ranks) -> None:
    answers = ranks(RANKS, figure_and_core_time)
    total = sum(figure for figure, _, _ in answers)
    assert total < 1.25 * cores() * max(per_core for _, per_core, _ in answers)
    assert total == pytest.approx(sum(per_core * share for _, per_core, share in answers), rel=0.25)


LATE = 2.0
"""Seconds."""


def late(rank: int) -> float:
    """When this rank has measured; the first one comes late."""
    time.sleep(LATE if rank == 0 else 0)
    measure_matmul("fp32", CPU)
    return time.perf_counter()


def late_machine(rank: int) -> float:
    """The speed of ranks each of which has a machine of its own; the first one comes late."""
    time.sleep(LATE if rank == 0 else 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matmul.provenance, "machine", lambda: f"machine {rank}")
        return measure_matmul("fp32", CPU)


@pytest.mark.alone
def test_a_wait_for_another_machine_is_no_part_of_the_measurement(ranks: Ranks) -> None:
    speeds = ranks(4, late_machine)
    assert min(speeds) > max(speeds) / 4


@pytest.mark.alone
def test_a_late_rank_is_waited_for(ranks: Ranks) -> None:
    """Without that it would be measured beside idle ranks, which had finished when it came."""
    moments = ranks(RANKS, late)
    assert max(moments) - min(moments) < LATE / 2


def stalled(rank: int) -> float:
    """The first rank gets no core in the time in which the others count."""
    whole = matmul._products

    def products(*arguments: Any) -> Iterator[float]:
        for count, finished in enumerate(whole(*arguments)):
            yield finished
            if rank == 0 and count == 0:
                time.sleep(matmul.LEAD + matmul.SECONDS + 0.1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matmul, "_products", products)
        return measure_matmul("fp32", CPU)


@pytest.mark.alone
def test_a_rank_without_a_core_is_not_measured_when_it_has_one_again(ranks: Ranks) -> None:
    first, *others = ranks(RANKS, stalled)
    assert 0 < first < median(others) / 2


def test_a_product_that_is_under_way_counts_by_its_share() -> None:
    assert done_within([0.0, 1.0, 2.0, 3.0], 0.5, 2.25) == pytest.approx(0.5 + 1 + 0.25)
    assert done_within([0.0, 4.0], 1.0, 2.0) == pytest.approx(0.25), "longer than the measurement"
    assert done_within([2.0, 3.0, 4.0], 1.0, 3.5) == pytest.approx(1.5), "begun late"


@pytest.mark.parametrize(("threads", "size"), [(1, 384), (2, 512), (8, 768), (64, 1024)])
def test_more_threads_multiply_larger_matrices(threads: int, size: int) -> None:
    assert cpu_size(threads) == size


def test_the_mean_over_ranks_and_the_spread_are_recorded(tmp_path: Path) -> None:
    found = utilisation(make_run(tmp_path, (1, 1, 2)), 1000.0, None, [1e9, 4e9])
    assert (found.matmul_flops, found.matmul_flops_min, found.matmul_flops_max) == (2.5e9, 1e9, 4e9)
    assert found.matmul_fraction == pytest.approx(500 * found.flops_per_token / 2.5e9)


@pytest.mark.parametrize(("checkpointing", "layers"), [("none", 0), ("full", 2), ("selective", 1)])
def test_recomputed_layers_are_work_of_the_hardware_only(tmp_path: Path, checkpointing: str, layers: int) -> None:
    run = make_run(tmp_path, (1, 1, 2), activation_checkpointing=checkpointing)
    found = utilisation(run, 1000.0, 1e9, [1e9, 1e9])
    assert found.mfu == pytest.approx(500 * found.flops_per_token / 1e9)
    for mfu, hfu, causal in ((found.mfu, found.hfu, False), (found.mfu_causal, found.hfu_causal, True)):
        assert mfu is not None
        assert hfu is not None
        more = run.shape.recomputed_flops_per_token(run.training.sequence_length, layers, causal=causal)
        assert hfu - mfu == pytest.approx(500 * more / 1e9)
