"""Every strategy is three numbers whose product is the world, and simplest names lead back to the same numbers."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as some

from bench.contract.layout import USED_SETTINGS, ImpossibleError, Layout, StrategySettings, canonical_name, resolve

nodes = some.integers(1, 8)
ranks_per_node = some.integers(1, 8)
sizes = some.one_of(some.integers(1, 64), some.just("node"), some.integers(1, 4).map(lambda count: f"{count} nodes"))
names = some.sampled_from(sorted(USED_SETTINGS))


@some.composite
def settings(draw: some.DrawFn) -> StrategySettings:
    by_number = draw(some.booleans())
    return StrategySettings(
        shard=draw(sizes),
        group=None if by_number else draw(sizes),
        groups=draw(some.integers(1, 16)) if by_number else None,
        every=4,
    )


def resolved(name: str, settings: StrategySettings, nodes: int, ranks_per_node: int) -> Layout:
    try:
        return resolve(name, settings, nodes, ranks_per_node)
    except ImpossibleError:
        assume(False)
        raise


@given(names, settings(), nodes, ranks_per_node)
def test_the_product_is_the_world_and_the_ranks_have_distinct_places(
    name: str, settings: StrategySettings, nodes: int, ranks_per_node: int
) -> None:
    layout = resolved(name, settings, nodes, ranks_per_node)
    assert layout.federation * layout.replicate * layout.shard == nodes * ranks_per_node
    assert len({layout.coordinates(rank) for rank in range(layout.world)}) == layout.world


@given(names, settings(), nodes, ranks_per_node)
def test_the_canonical_name_resolves_to_the_same_layout(
    name: str, settings: StrategySettings, nodes: int, ranks_per_node: int
) -> None:
    layout = resolved(name, settings, nodes, ranks_per_node)
    plain = StrategySettings(shard=layout.shard, group=layout.group, every=4)
    assert resolve(canonical_name(layout), plain, nodes, ranks_per_node) == layout


@pytest.mark.parametrize(
    ("name", "settings", "layout"),
    [
        ("fsdp", {}, "F=1 R=1 S=8"),
        ("ddp", {}, "F=1 R=8 S=1"),
        ("hsdp", {"shard": "node"}, "F=1 R=2 S=4"),
        ("federated", {"group": "node", "every": 4}, "F=2 R=1 S=4"),
        ("federated", {"groups": 4, "every": 4}, "F=4 R=1 S=2"),
        ("federated-hsdp", {"groups": 2, "shard": 2, "every": 4}, "F=2 R=2 S=2"),
    ],
)
def test_on_two_nodes_of_four_ranks(name: str, settings: dict[str, int | str], layout: str) -> None:
    assert str(resolve(name, StrategySettings(**settings), nodes=2, ranks_per_node=4)) == layout
