"""A single machine as every node: each node is a separate agent."""

from __future__ import annotations

from collections.abc import Iterable

from bench.contract.run import Run
from matrix.config.settings.xffl import XfflSettings
from matrix.errors import InputError

LOOPBACK = "127.0.0.1"


def hosts(nodes: int) -> list[str]:
    """Return the address of every node, in node order."""
    return [LOOPBACK] * nodes


def check_hosts(runs: Iterable[Run], over_ssh: XfflSettings) -> None:
    """Raise InputError if runs need more machines than there are, or if launchers would use different machines.

    One machine has the GPUs of one node only. Runs on different machines cannot be compared.
    """
    runs = list(runs)
    if not over_ssh.is_loopback and {run.launcher for run in runs} == {"torchrun", "xffl"}:
        raise InputError(
            f"system {runs[0].system.name}: xffl.hosts: launcher torchrun uses this machine only, and xffl would use "
            f"{', '.join(over_ssh.hosts)}, so their figures would be from different machines: leave one out with "
            "--only launcher=xffl"
        )
    for run in runs:
        elsewhere = run.launcher == "xffl" and not over_ssh.is_loopback
        if run.system.device == "cuda" and run.nodes > 1 and not elsewhere:
            raise InputError(
                f"system {run.system.name}: this machine has the GPUs of one node, and {run.id} needs "
                f"{run.nodes} nodes: leave these runs out with --only nodes=1"
                + (", or name other hosts under xffl.hosts" if run.launcher == "xffl" else "")
            )
