"""Check the hosts of a system file over ssh."""

from __future__ import annotations

import shlex
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.host.software.installation import Installation
from matrix.check.item import Item, State, optional, said_by
from matrix.config.system import SystemFile
from matrix.launchers.remote import UNATTENDED, module_call

_LIMIT = 60.0  # seconds


def client(system: SystemFile) -> Item:
    """Check the ssh client."""
    is_there, said = said_by(["ssh", "-V"])
    remedy = "install the OpenSSH client"
    needed, needed_for = system.launcher == "xffl", "launcher: xffl"
    return optional("ssh", said, is_there=is_there, needed=needed, remedy=remedy, needed_for=needed_for)


def hosts(system: SystemFile, interpreter: Path, here: Installation) -> list[Item]:
    """Check every host that ranks would be started on; none if ssh is not used, or only the job knows its hosts."""
    if system.launcher != "xffl" or system.scheduler != "local":
        return []
    names = list(dict.fromkeys(system.xffl.hosts_of(system.nodes)))
    with ThreadPoolExecutor(max_workers=min(32, len(names))) as pool:
        return list(pool.map(lambda name: _host(name, system, interpreter, here), names))


def _host(name: str, system: SystemFile, interpreter: Path, here: Installation) -> Item:
    command = module_call(interpreter, "bench.host.software.installation")
    answered, said = said_by(["ssh", *system.xffl.ssh_options, *UNATTENDED, name, command], _LIMIT)
    title = f"host {name}"
    if not answered:
        return Item(
            title,
            State.MISSING,
            said,
            f"check the output of: {shlex.join(['ssh', *system.xffl.ssh_options, name, command])}",
        )
    try:
        there = Installation.model_validate_json(said)
    except ValueError:
        remedy = "the shell's start-up files there should print nothing"
        return Item(title, State.MISSING, f"unexpected output: {said!r}", remedy)
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
        remedy = f"install the same versions in {interpreter.parent.parent} on every host"
        return Item(title, State.MISSING, "; ".join(different), remedy)
    return Item(title, State.OK, "reachable, with the same environment as here")
