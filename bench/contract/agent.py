"""What the agent of a node is asked for."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel


class AgentOrder(BaseModel):
    """What one agent is asked for."""

    run: Path
    folder: Path
    node: int
    master_addr: str
    master_port: int
    store_port: int | None = None
    """Where rank 0 serves the store that ranks meet at; None: the agent of node 0 does, at `master_port`."""
    preflight: bool = False
    """Whether the ranks measure the machines and the links between them instead of training."""
