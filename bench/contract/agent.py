"""The order that a node's agent gets from the launcher."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel


class AgentOrder(BaseModel):
    """What one agent starts, and where its ranks meet."""

    run: Path
    folder: Path
    node: int
    master_addr: str
    master_port: int
    store_port: int | None = None
    """Port of the rendezvous store that rank 0 serves; None: the agent of node 0 serves it at `master_port`."""
    preflight: bool = False
    """True if the ranks measure devices and links instead of training."""
