"""Slurm: its commands, and what the system file asks them for."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from matrix.check.item import Item, State, optional, said_by
from matrix.config.system import SystemFile

COMMANDS = ("sbatch", "squeue", "scancel", "scontrol", "srun", "sinfo")


def slurm(system: SystemFile) -> Iterator[Item]:
    """Whether it is there, answers, and has the partition with as many nodes as the system file says."""
    needed = system.scheduler == "slurm"
    missing = [tool for tool in COMMANDS if shutil.which(tool) is None]
    if missing:
        found = f"no {' and no '.join(missing)} in PATH"
        yield optional("Slurm", found, is_there=False, needed=needed, remedy="call xffl-bench on a login node")
        return
    is_there, said = said_by(["sbatch", "--version"])
    yield optional("Slurm", said, is_there=is_there, needed=needed, remedy="call xffl-bench on a login node")
    if is_there and needed:
        yield _partition(system)


def _partition(system: SystemFile) -> Item:
    name = system.slurm.partition
    which = ["-p", name] if name else []
    is_there, said = said_by(["sinfo", "-h", *which, "-o", "%D"])
    label = f"partition {name}" if name else "partitions"
    if not is_there:
        return Item(label, State.MISSING, said, "see `sinfo`")
    nodes = int(said) if said.isdigit() else 0
    if nodes < system.nodes:
        remedy = "name another under slurm.partition, or lower 'nodes'"
        return Item(label, State.MISSING, f"{nodes} nodes, and the system file says {system.nodes}", remedy)
    return Item(label, State.OK, f"{nodes} nodes")
