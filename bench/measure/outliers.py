"""What stands out in a preflight: the device, the node or the link that is slower than its like (no torch)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from statistics import median_high

from bench.contract.preflight import DeviceSpeed, Preflight

SLOW_DEVICE, SLOW_LINK = 0.8, 0.5
"""Parts of the median below which something stands out: devices of a kind are alike, links differ by their load."""


def outliers(found: Preflight) -> list[str]:
    """A sentence for each; of half of all, should they be slow, the other half is what is right."""
    return [*_devices(found), *_nodes(found), *_links(found)]


def _devices(found: Preflight) -> Iterator[str]:
    kinds = defaultdict[str, list[DeviceSpeed]](list)
    for each in found.devices:
        kinds[each.device].append(each)
    for kind, of_kind in kinds.items():
        usual = median_high([each.matmul_flops for each in of_kind])
        for each in of_kind:
            if each.matmul_flops < SLOW_DEVICE * usual:
                yield (
                    f"rank {each.rank} (host {each.host}, local rank {each.local_rank}): a matrix product runs at "
                    f"{_percent(each.matmul_flops, usual)} of what is usual here for {kind}"
                )


def _nodes(found: Preflight) -> Iterator[str]:
    inside = {number: node.inside for number, node in enumerate(found.nodes) if node.inside is not None}
    usual = median_high([each.bytes_per_s for each in inside.values()]) if inside else 0.0
    for number, each in inside.items():
        if each.bytes_per_s < SLOW_LINK * usual:
            yield (
                f"node {number} ({found.nodes[number].host}): its ranks reach each other at "
                f"{_percent(each.bytes_per_s, usual)} of the bandwidth that is usual here"
            )


def _links(found: Preflight) -> Iterator[str]:
    usual = median_high([link.bytes_per_s for link in found.links]) if found.links else 0.0
    for link in found.links:
        if link.bytes_per_s < SLOW_LINK * usual:
            yield (
                f"the link between {link.hosts[0]} and {link.hosts[1]} has {_percent(link.bytes_per_s, usual)} of the "
                "bandwidth that is usual here"
            )


def _percent(value: float, usual: float) -> str:
    return f"{100 * value / usual:.0f} %"
