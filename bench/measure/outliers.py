"""Outliers of a preflight: devices, nodes and links that are slower than their peers. No torch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median_high

from bench.contract.preflight import DeviceSpeed, Preflight

SLOW_DEVICE, SLOW_LINK = 0.8, 0.5
"""Fractions of the median below which a value is an outlier; links vary more than devices because of their load."""


@dataclass(frozen=True)
class Outlier:
    """A device, node or link that is slower than its peers.

    Attributes:
        hosts: hosts that a run must use, all of them, to be affected: one, or the two ends of a link.

    """

    hosts: frozenset[str]
    sentence: str


def outliers(found: Preflight) -> list[Outlier]:
    """Return the outliers. Uses the high median: if half are slow, the fast half is the norm."""
    return [*_devices(found), *_nodes(found), *_links(found)]


def slow_hosts(found: Preflight, nodes: int) -> list[str]:
    """Return the sentences of the outliers that affect a run on the first `nodes` nodes of the allocation."""
    used = {node.host for node in found.nodes[:nodes]}
    return [outlier.sentence for outlier in outliers(found) if outlier.hosts <= used]


def _devices(found: Preflight) -> Iterator[Outlier]:
    kinds = defaultdict[str, list[DeviceSpeed]](list)
    for each in found.devices:
        kinds[each.device].append(each)
    for kind, of_kind in kinds.items():
        usual = median_high([each.matmul_flops for each in of_kind])
        for each in of_kind:
            if each.matmul_flops < SLOW_DEVICE * usual:
                yield Outlier(
                    frozenset({each.host}),
                    f"rank {each.rank} (host {each.host}, local rank {each.local_rank}): a matrix product runs at "
                    f"{_percent(each.matmul_flops, usual)} of the median for {kind}",
                )


def _nodes(found: Preflight) -> Iterator[Outlier]:
    inside = {number: node.inside for number, node in enumerate(found.nodes) if node.inside is not None}
    usual = median_high([each.bytes_per_s for each in inside.values()]) if inside else 0.0
    for number, each in inside.items():
        if each.bytes_per_s < SLOW_LINK * usual:
            host = found.nodes[number].host
            yield Outlier(
                frozenset({host}),
                f"node {number} ({host}): the bandwidth among its ranks is {_percent(each.bytes_per_s, usual)} of the "
                "median",
            )


def _links(found: Preflight) -> Iterator[Outlier]:
    usual = median_high([link.bytes_per_s for link in found.links]) if found.links else 0.0
    for link in found.links:
        if link.bytes_per_s < SLOW_LINK * usual:
            yield Outlier(
                frozenset(link.hosts),
                f"the link between {link.hosts[0]} and {link.hosts[1]} has {_percent(link.bytes_per_s, usual)} of the "
                "median bandwidth",
            )


def _percent(value: float, usual: float) -> str:
    return f"{100 * value / usual:.0f} %"
