"""One machine that plays every node: a node is an agent of its own."""

from __future__ import annotations

LOOPBACK = "127.0.0.1"


def hosts(nodes: int) -> list[str]:
    """Where the nodes of a run are, in node order."""
    return [LOOPBACK] * nodes
