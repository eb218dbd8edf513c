"""Runs whose shard groups cross nodes because of their size, as a plan says it."""

from __future__ import annotations

from collections.abc import Iterable

from bench.contract.run import Run
from matrix.errors import as_text


def crossing(runs: Iterable[Run]) -> list[str]:
    """A sentence for each strategy and shard size."""
    found: dict[tuple[str, int, int], set[int]] = {}
    for run in runs:
        if run.crosses_by_size:
            key = as_text(run.labels["strategy"]), run.layout.shard, run.ranks_per_node
            found.setdefault(key, set()).add(run.nodes)
    return [
        f"{strategy} on {', '.join(map(str, sorted(nodes)))} nodes: shard groups of {shard} ranks cross nodes of "
        f"{ranks}, so the shards of every layer go over the network"
        for (strategy, shard, ranks), nodes in found.items()
    ]
