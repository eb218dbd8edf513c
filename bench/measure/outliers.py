"""Outliers of a preflight, and runs whose devices were faster or slower than in it. No torch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median_high

from bench.contract.results.measured import Measured, Utilisation
from bench.contract.results.outcomes import Caution
from bench.contract.results.preflight import DeviceSpeed, Preflight
from bench.contract.run import Run

SLOW_DEVICE, SLOW_LINK = 0.8, 0.5
"""Fractions of the median below which a value is an outlier; links vary more than devices because of their load."""

CHANGED = 0.2
"""Difference from the preflight's speed, as a fraction of it, beyond which a run gets a caution."""


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


def compared(run: Run, measured: Measured, found: Preflight) -> Measured:
    """Return the figures of a run with a caution if its devices had another speed than in the preflight.

    Compares the mean over ranks, which every rank's change of speed moves, and the slowest rank, which a single failing
    device moves however many others there are. Not compared: runs of another type, whose product is another one, or
    with ranks that the preflight did not have.
    """
    speeds = {(each.host, each.local_rank): each.matmul_flops for each in found.devices}
    seats = [(seat.host, seat.local_rank) for seat in measured.provenance.seats]
    if found.computation != run.training.computation or not seats or not speeds.keys() >= set(seats):
        return measured
    before = [speeds[seat] for seat in seats]
    if not _differs(measured.utilisation, sum(before) / len(before), min(before)):
        return measured
    return measured.model_copy(update={"cautions": [*measured.cautions, Caution.DEVICE_SPEED_CHANGED]})


def _differs(during: Utilisation, mean: float, slowest: float) -> bool:
    pairs = [(during.matmul_flops, mean), (during.matmul_flops_min or slowest, slowest)]
    return any(abs(now / before - 1) > CHANGED for now, before in pairs)


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
