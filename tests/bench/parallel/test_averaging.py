"""The guard of the federated averaging: it passes a mean, and says what is wrong with anything else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.contract.layout import Layout
from bench.data.dataset import load
from bench.engines.native import train
from bench.models.optim import build_optimizer
from bench.models.state import local_parameters
from bench.parallel.averaging_check import ELEMENTS, Witness, fault
from tests.support.ranks import Ranks
from tests.support.runs import CPU, NoProgress, averaging, make_run, prepare

TWO_GROUPS = Layout(federation=2, replicate=1, shard=2)


def noted(*after: float) -> list[list[list[list[float]]]]:
    """Four ranks in two groups of two shards; before, ranks 0 and 2 hold 1 and 3, ranks 1 and 3 hold 10 and 20."""
    before = (1.0, 10.0, 3.0, 20.0)
    return [[[[own, 5.0], [held, 5.0]]] for own, held in zip(before, after, strict=True)]


@pytest.mark.parametrize(
    ("after", "said"),
    [
        ((2.0, 15.0, 2.0, 15.0), ""),
        ((2.0, 15.0, 2.0, 15.000002), ""),  # rounded
        ((4.0, 30.0, 4.0, 30.0), "rank 0 has 4, but the mean over 2 ranks is 2"),  # summed
        ((1.0, 10.0, 3.0, 20.0), "rank 0 has 1, but the mean over 2 ranks is 2"),  # not averaged
        ((2.0, 15.0, 2.0, 20.0), "rank 3 has 20, but the mean over 2 ranks is 15"),  # one rank was left out
        ((2.0, 15.0, 2.0, 15.01), "rank 3 has 15.01"),
    ],
)
def test_a_fault_names_the_rank(after: tuple[float, ...], said: str) -> None:
    found = fault(TWO_GROUPS, "fp32", noted(*after))
    assert said in found
    assert bool(found) == bool(said)


def test_bf16_may_round_more_but_not_sum() -> None:
    assert fault(TWO_GROUPS, "bf16", noted(2.0, 15.1, 2.0, 15.1)) == ""
    assert "rank 1 has 30" in fault(TWO_GROUPS, "bf16", noted(2.0, 30.0, 2.0, 30.0))


def test_groups_that_were_not_averaged_are_seen_where_rounding_is_coarse() -> None:
    """In bf16 groups may differ by less than what a rounded mean may be off."""
    apart = [[[[value], [value]]] for value in (1.0, 1.0078125)]
    assert "rank 1 has 1.0078125 and rank 0 1" in fault(Layout(federation=2, replicate=1, shard=1), "bf16", apart)
    replicas = [[[[1.0], [value]]] for value in (1.0, 1.0078125, 1.0, 1.0078125)]  # each replica averaged by itself
    assert fault(Layout(federation=2, replicate=2, shard=1), "bf16", replicas) == ""


def test_many_holders_do_not_hide_a_sum() -> None:
    """What rounding may do grows with the holders, and stays below what a sum does."""
    many = Layout(federation=512, replicate=1, shard=1)
    assert fault(many, "bf16", [[[[1.0], [1.0]]]] * 512) == ""
    assert "rank 0 has 512" in fault(many, "bf16", [[[[1.0], [512.0]]]] * 512)


def test_nothing_noted_is_no_fault() -> None:
    assert fault(Layout(federation=1, replicate=1, shard=4), "fp32", [[]] * 4) == ""


def test_a_witness_looks_at_every_parameter_of_a_small_model() -> None:
    tensors = [torch.full((3, 2), float(place)) for place in range(4)] + [torch.empty(0)]
    witness = Witness(tensors)
    witness.before()
    tensors[2].fill_(9.0)
    witness.after()
    assert witness.read() == [[[0.0, 1.0, 2.0, 3.0], [0.0, 1.0, 9.0, 3.0]]]
    assert len(Witness([torch.ones(2)] * 100).read()) == 0
    many = Witness([torch.full((1,), float(place)) for place in range(100)])
    many.before()
    many.after()
    ((before, _),) = many.read()
    assert len(before) == ELEMENTS
    assert len(set(before)) == ELEMENTS


def averaged(rank: int, run: Any, factor: float) -> list[list[list[float]]]:
    """Train with an averaging whose outcome is multiplied."""
    groups, model = prepare(run, rank)
    average = averaging(model, groups)
    assert average is not None
    good: Callable[[], None] = average

    def maybe_broken() -> None:
        good()
        for tensor in average.parameters:
            tensor.mul_(factor)

    optimizer = build_optimizer(model, run.training)
    witness = Witness(local_parameters(model))
    return train(run, model, optimizer, maybe_broken, load(run, rank), CPU, NoProgress(), witness).averaged


@pytest.mark.parametrize("layout", [(2, 1, 2), (2, 2, 1)])
def test_real_averagings_are_witnessed(ranks: Ranks, data: Path, layout: tuple[int, int, int]) -> None:
    run = make_run(data, layout, steps=8)
    good = ranks(run.world, averaged, run, 1.0)
    assert [len(each) for each in good] == [2] * run.world
    assert fault(run.layout, "fp32", good) == ""
    doubled = ranks(run.world, averaged, run, float(run.layout.federation))
    assert "averaging 1 of 2 did not leave the mean" in fault(run.layout, "fp32", doubled)
