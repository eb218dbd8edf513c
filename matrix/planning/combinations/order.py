"""The order in which runs are started."""

from __future__ import annotations

from collections.abc import Sequence

from bench.contract.run import Run


def by_nodes(runs: Sequence[Run]) -> list[Run]:
    """Return the runs sorted by node count, smallest first; equal counts keep their order."""
    return sorted(runs, key=lambda run: run.nodes)


def in_allocations(runs: Sequence[Run], *, nested: bool) -> list[Run]:
    """Return the runs in the order in which allocations take them.

    The smallest node counts are first, so that an interrupted sweep has complete comparisons; runs that are not timed
    are last. Nested runs keep the plan's order, in which the node counts of a repeat are shuffled.
    """
    return list(runs) if nested else sorted(by_nodes(runs), key=lambda run: run.purpose != "measure")
