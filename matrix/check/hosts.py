"""The hosts of a system file, asked over ssh what a run would find there."""

from __future__ import annotations

import shlex
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.host.installation import Installation
from matrix.check.item import Item, State, optional, said_by
from matrix.config.system import SystemFile
from matrix.launchers.remote import UNATTENDED, module_call

_LIMIT = 60.0  # seconds


def client(system: SystemFile) -> Item:
    """The ssh client."""
    is_there, said = said_by(["ssh", "-V"])
    return optional("ssh", said, is_there=is_there, needed=system.launcher == "xffl", remedy="install OpenSSH's client")


def hosts(system: SystemFile, interpreter: Path, here: Installation) -> list[Item]:
    """Every host that ranks would be started on; none where ssh starts none, or only a job will know them."""
    if system.launcher != "xffl" or system.scheduler != "local":
        return []
    names = list(dict.fromkeys(system.xffl.hosts_of(system.nodes)))
    with ThreadPoolExecutor(max_workers=min(32, len(names))) as pool:
        return list(pool.map(lambda name: _host(name, system, interpreter, here), names))


def _host(name: str, system: SystemFile, interpreter: Path, here: Installation) -> Item:
    command = module_call(interpreter, "bench.host.installation")
    answered, said = said_by(["ssh", *system.xffl.ssh_options, *UNATTENDED, name, command], _LIMIT)
    title = f"host {name}"
    if not answered:
        return Item(
            title,
            State.MISSING,
            said,
            f"look at what this says: {shlex.join(['ssh', *system.xffl.ssh_options, name, command])}",
        )
    try:
        there = Installation.model_validate_json(said)
    except ValueError:
        return Item(title, State.MISSING, f"its answer was {said!r}", "a shell's start-up file there should be silent")
    different = [
        f"{what} {theirs or 'none'} there and {ours or 'none'} here"
        for what, ours, theirs in (
            ("Python", here.python, there.python),
            ("xffl-bench", here.xffl_bench, there.xffl_bench),
            ("commit of xffl-bench", here.commit, there.commit),
            ("torch", here.torch, there.torch),
            ("xFFL", here.xffl and here.xffl.digest[:7], there.xffl and there.xffl.digest[:7]),
        )
        if ours != theirs
    ]
    if different:
        remedy = f"install the same into {interpreter.parent.parent} on every host"
        return Item(title, State.MISSING, "; ".join(different), remedy)
    return Item(title, State.OK, "reached, and its environment is the same as here")
