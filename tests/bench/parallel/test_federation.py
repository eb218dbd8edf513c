"""After every aggregation the groups hold the mean of what they were, to the bit the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from hypothesis import given
from hypothesis import strategies as some
from pydantic import ValidationError

from bench.contract.run import Run
from bench.models.state import local_parameters
from bench.parallel.federation import FederatedAverage, balance
from tests.support.ranks import Ranks
from tests.support.runs import full_parameters, make_run, prepare, train_rank


def before_and_after(rank: int, run: Run) -> list[tuple[list[torch.Tensor], list[torch.Tensor]]]:
    """The rank's parameters before and after each aggregation of a training."""
    seen = []

    def watched(average: FederatedAverage) -> object:
        def aggregate() -> None:
            parameters = average.parameters
            before = [each.clone() for each in parameters]
            average()
            seen.append((before, [each.clone() for each in parameters]))

        return aggregate

    train_rank(run, rank, wrap=watched)
    return seen


@pytest.mark.parametrize(
    ("layout", "precision"),
    [
        ((3, 1, 2), "fp32"),
        ((2, 2, 2), "fp32"),
        pytest.param((2, 2, 2), "bf16", marks=pytest.mark.soak),
        ((3, 2, 1), "fp32"),
    ],
)
def test_groups_hold_the_mean(ranks: Ranks, data: Path, layout: tuple[int, int, int], precision: str) -> None:
    run = make_run(data, layout, every=3, steps=9, warmup_steps=1, block=3, precision=precision, model="mixtral-tiny")
    seen = ranks(run.world, before_and_after, run)
    assert [len(each) for each in seen] == [3] * run.world, "after steps 3, 6 and 9"
    for aggregation in range(3):
        for shard in range(run.layout.shard):
            holders = [seen[rank][aggregation] for rank in range(shard, run.world, run.layout.shard)]
            befores, afters = [before for before, _ in holders], [after for _, after in holders]
            for place, first in enumerate(afters[0]):
                assert all(torch.equal(after[place], first) for after in afters), "groups differ"
                mean = torch.stack([before[place] for before in befores]).double().mean(dim=0)
                tolerance = {"fp32": 1e-6, "bf16": 2**-8}[precision]
                torch.testing.assert_close(first.double(), mean, rtol=tolerance, atol=tolerance * 1e-3)
    # replicas of one group were equal before, groups were not: otherwise there was nothing to average
    first, other = seen[0][0][0], seen[run.layout.group][0][0]
    assert any(not torch.equal(a, b) for a, b in zip(first, other, strict=True))


def trained_parameters(rank: int, run: Run) -> dict[str, torch.Tensor]:
    return full_parameters(train_rank(run, rank)[1])


def test_streams_do_not_change_the_result(ranks: Ranks, data: Path) -> None:
    one, two, four = (
        ranks(4, trained_parameters, make_run(data, (2, 1, 2), cuda_streams=streams, steps=8))[0]
        for streams in (1, 2, 4)
    )
    assert one.keys() == two.keys() == four.keys()
    for name, value in one.items():
        assert torch.equal(value, two[name])
        assert torch.equal(value, four[name])


def average_in_small_buckets(rank: int, run: Run) -> float:
    """Largest difference between averaging in buckets of 1000 elements and averaging each tensor by itself."""
    groups, model = prepare(run, rank)
    parameters = local_parameters(model)
    for place, parameter in enumerate(parameters):
        parameter.add_(rank + place)
    expected = []
    for parameter in parameters:
        total = parameter.clone()
        dist.all_reduce(total, group=groups.holders[0])
        expected.append(total / groups.holders[0].size())
    FederatedAverage(parameters, groups.holders, bucket_elements=1000)()
    return max((a - b).abs().max().item() for a, b in zip(parameters, expected, strict=True))


def test_tensors_larger_than_a_bucket_are_cut(ranks: Ranks, data: Path) -> None:
    assert max(ranks(4, average_in_small_buckets, make_run(data, (4, 1, 1), cuda_streams=3))) < 1e-6


@given(sizes=some.lists(some.integers(0, 1000), max_size=40), bins=some.integers(1, 6))
def test_balance_deals_everything_evenly(sizes: list[int], bins: int) -> None:
    dealt = balance(sizes, bins)
    assert sorted(index for indices in dealt for index in indices) == list(range(len(sizes)))
    loads = [sum(sizes[index] for index in indices) for indices in dealt]
    assert max(loads) - min(loads) <= max(sizes, default=0)


def test_steps_that_would_not_end_with_an_averaging_are_refused(data: Path) -> None:
    with pytest.raises(ValidationError, match=r"training\.steps 26 is not a multiple of the block of 4 steps"):
        make_run(data, (2, 1, 2), every=4, steps=26)
    with pytest.raises(ValidationError, match="a block of 4 steps is not a multiple of the interval of 3"):
        make_run(data, (2, 1, 2), every=3, steps=24)
