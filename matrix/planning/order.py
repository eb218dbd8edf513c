"""The order in which runs are started."""

from __future__ import annotations

from collections.abc import Sequence

from bench.contract.run import Run


def by_nodes(runs: Sequence[Run]) -> list[Run]:
    """Return the runs sorted by node count, smallest first; equal counts keep their order."""
    return sorted(runs, key=lambda run: run.nodes)
