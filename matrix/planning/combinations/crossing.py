"""Report runs whose shard groups span nodes because of their size."""

from __future__ import annotations

from collections.abc import Iterable

from bench.contract.run import Run
from matrix.errors import as_text


def crossing(runs: Iterable[Run]) -> list[str]:
    """Return one sentence per strategy and shard size."""
    found: dict[tuple[str, int, int], set[int]] = {}
    for run in runs:
        if run.crosses_by_size:
            key = as_text(run.labels["strategy"]), run.layout.shard, run.ranks_per_node
            found.setdefault(key, set()).add(run.nodes)
    return [
        f"{strategy} on {', '.join(map(str, sorted(nodes)))} nodes: shard groups of {shard} ranks span nodes of "
        f"{ranks} ranks, so the shards of every layer go over the network"
        for (strategy, shard, ranks), nodes in found.items()
    ]
