"""The launcher's order to the agent of a node."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

PORT_TAKEN = 98
"""Exit status of an agent whose rendezvous port another program has (EADDRINUSE)."""

NO_SEMAPHORES = 97
"""Exit status of an agent on a machine without semaphores, which it needs to start ranks."""


class AgentOrder(BaseModel):
    """Run and folder of one agent, and the address of its rendezvous."""

    run: Path
    folder: Path
    node: int
    master_addr: str
    master_port: int
    store_port: int | None = None
    """Port of the rendezvous store that rank 0 serves; if None, the agent of node 0 serves it at `master_port`."""
    preflight: bool = False
    """True if the ranks measure devices and links instead of training."""
