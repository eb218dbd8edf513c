"""One machine that plays every node: a node is an agent of its own."""

from __future__ import annotations

from collections.abc import Iterable

from bench.contract.run import Run
from matrix.config.settings.xffl import XfflSettings
from matrix.errors import InputError

LOOPBACK = "127.0.0.1"


def hosts(nodes: int) -> list[str]:
    """Where the nodes of a run are, in node order."""
    return [LOOPBACK] * nodes


def check_hosts(runs: Iterable[Run], over_ssh: XfflSettings) -> None:
    """Raises InputError: a run wants the GPUs of several nodes, and one machine has its own only; or runs of one sweep
    would be on other machines by their launcher alone.
    """
    runs = list(runs)
    if not over_ssh.is_loopback and {run.launcher for run in runs} == {"torchrun", "xffl"}:
        raise InputError(
            f"system {runs[0].system.name}: xffl.hosts: launcher torchrun has this machine only, and xffl would use "
            f"{', '.join(over_ssh.hosts)}, so their figures would be of different machines: leave one out with "
            "--only launcher=xffl"
        )
    for run in runs:
        elsewhere = run.launcher == "xffl" and not over_ssh.is_loopback
        if run.system.device == "cuda" and run.nodes > 1 and not elsewhere:
            raise InputError(
                f"system {run.system.name}: scheduler: 'local' has the GPUs of one machine, and {run.id} wants "
                f"{run.nodes} nodes: leave these runs out with --only nodes=1"
                + (", or name other hosts under xffl.hosts" if run.launcher == "xffl" else "")
            )
