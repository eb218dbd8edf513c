"""What a run says of its own figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.account import cautions
from bench.contract.results.outcomes import Caution
from bench.contract.run import Library
from bench.measure.gpu import GpuUse
from tests.support.rank_records import record
from tests.support.runs import make_run

FOUND = Library(
    version="0",
    commit=None,
    digest="0",
    averaging="mean",
    group_data="same",
    streams="inert",
    unequal_groups="wrong",
    image_mode="crashes",
)


@pytest.mark.parametrize(
    ("streams", "change", "warned"),
    [
        (4, {"engine": "xffl", "library": FOUND}, True),
        (4, {"engine": "xffl", "library": FOUND.model_copy(update={"streams": "used"})}, False),
        (1, {"engine": "xffl", "library": FOUND}, False),
        (4, {}, False),
    ],
)
def test_streams_that_the_library_ignores_are_told(streams: int, change: dict[str, Any], warned: bool) -> None:
    run = make_run(Path(), (2, 1, 2), cuda_streams=streams).model_copy(update=change)
    assert (
        Caution.IGNORED_STREAMS in cautions(run, [], blocks=4, repeated=False, slow_folder=False, dirty=False)
    ) == warned


@pytest.mark.parametrize(
    ("layout", "crosses", "warned"),
    [
        ((1, 1, 8), True, False),  # fsdp, which has no other size
        ((1, 2, 4), False, False),
        ((1, 1, 4), False, False),
        ((2, 1, 8), True, True),
        ((1, 4, 3), True, True),
        ((1, 8, 1), False, False),
    ],
)
def test_shard_groups_that_cross_nodes(layout: tuple[int, int, int], crosses: bool, warned: bool) -> None:
    run = make_run(Path(), layout)
    assert run.ranks_per_node == 4
    nodes_of = [
        {rank // 4 for rank in range(run.world) if run.layout.coordinates(rank)[:2] == group}
        for group in {run.layout.coordinates(rank)[:2] for rank in range(run.world)}
    ]
    assert run.shard_groups_cross_nodes == any(len(nodes) > 1 for nodes in nodes_of) == crosses
    assert (
        Caution.CROSSING_SHARDS in cautions(run, [], blocks=4, repeated=False, slow_folder=False, dirty=False)
    ) == warned


@pytest.mark.parametrize(("warmup", "warned"), [(0, True), (4, False)])
def test_a_window_with_the_first_step_is_told(warmup: int, warned: bool) -> None:
    run = make_run(Path(), (1, 1, 2), warmup_steps=warmup)
    assert (Caution.NO_WARM_UP in cautions(run, [], blocks=4, repeated=False, slow_folder=False, dirty=False)) == warned


@pytest.mark.parametrize(
    ("use", "warned"),
    [
        ({"throttled": 2}, True),
        ({"throttled": 0}, False),
        ({"throttled": None}, False),
        ({"gpu": GpuUse("a", 1.0, 600.0, slowed=0.02, capped=0.0)}, True),
        ({"gpu": GpuUse("a", 1.0, 600.0, slowed=0.0, capped=1.0)}, False),
        ({"gpu": GpuUse("a", 1.0, 600.0, slowed=None, capped=None)}, False),
    ],
)
def test_throttled_cores_and_gpus_are_told(use: dict[str, Any], warned: bool) -> None:
    ranks = [record(rank, 2, [rank]) for rank in range(2)]
    ranks[1] = replace(ranks[1], use=replace(ranks[1].use, **use))
    found = cautions(make_run(Path(), (1, 1, 2)), ranks, blocks=4, repeated=False, slow_folder=False, dirty=False)
    assert (Caution.THROTTLED in found) == warned
