"""Check the environment of the ranks through its own interpreter: Python, torch and its devices, xFFL."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from bench.contract.run import Library
from bench.host.devices import Devices
from bench.host.software.installation import Installation
from matrix.check.item import Item, State, optional
from matrix.config.system import SystemFile
from matrix.errors import InputError
from matrix.launchers.xffl_site import find_site
from matrix.xffl.interpreter import InImage, Python, ask
from matrix.xffl.probe import named, probe


def python(interpreter: Python, found: Installation) -> Item:
    """Report the interpreter and the version of xffl-bench in it."""
    at = f", commit {found.commit[:7]}{' with changes' if found.dirty else ''}" if found.commit else ""
    return Item("Python", State.OK, f"{found.python}, {interpreter}, with xffl-bench {found.xffl_bench}{at}")


_ON_GPUS = "ranks on GPUs of this machine"


def torch(interpreter: Python, system: SystemFile) -> tuple[Item, Item]:
    """Report the build of torch, and check the GPUs that it finds on this machine."""
    needs_gpus = system.device == "cuda" and (system.launcher == "torchrun" or system.xffl.is_loopback)
    try:
        found = Devices.model_validate_json(ask(interpreter, "bench.host.devices"))
    except InputError as error:
        return (
            Item(
                "torch",
                State.MISSING,
                str(error),
                "rebuild the image" if isinstance(interpreter, InImage) else f"{interpreter} -m pip install torch",
            ),
            optional(
                "GPUs",
                "not checked",
                is_there=False,
                needed=needs_gpus,
                remedy="install torch first",
                needed_for=_ON_GPUS,
                absent="not checked",
            ),
        )
    build = f"for CUDA {found.cuda}" if found.cuda else f"for ROCm {found.rocm}" if found.rocm else "for CPUs"
    enough = len(found.gpus) >= system.ranks_per_node
    kinds = ", ".join(f"{found.gpus.count(kind)} x {kind}" for kind in dict.fromkeys(found.gpus)) or "none"
    return (
        Item("torch", State.OK, f"{found.torch}, built {build}"),
        optional(
            "GPUs",
            kinds,
            is_there=bool(found.gpus) and (enough or not needs_gpus),
            needed=needs_gpus,
            remedy=f"each of the {system.ranks_per_node} ranks per node needs its own GPU: lower 'ranks_per_node', or "
            "run this on a node with the GPUs",
            needed_for=_ON_GPUS,
            absent=kinds,
        ),
    )


def xffl(
    interpreter: Python, found: Installation, system: SystemFile, say: Callable[[str], None], *, anew: bool
) -> Item:
    """Check the xFFL library and report its behaviour as found by the probe."""
    if found.xffl is None:
        # A system file does not select engines, and with `launcher: xffl` the program may be of another environment.
        return Item("xFFL", State.NOT_NEEDED, "not installed", needed_for="engine: xffl")
    named_program = isinstance(interpreter, Path) and system.xffl.command and shutil.which(system.xffl.command)
    command = Path(named_program) if named_program else None

    def announce() -> None:
        say("probing the behaviour of xFFL, which takes about half a minute ...")

    try:
        known = probe(interpreter, command, system.device, anew=anew, announce=announce).library
    except InputError as error:
        return optional(
            "xFFL",
            str(error),
            is_there=False,
            needed=system.launcher == "xffl",
            remedy="",
            needed_for="engine: xffl",
            absent=str(error),
        )
    refused = known.averaging in ("sum", "nothing")
    return Item(
        "xFFL",
        State.OK,
        f"{named(known)} on {system.device}: {_behaviour(known)}",
        "federated runs of engine xffl are refused: their models would be meaningless" if refused else "",
    )


def _behaviour(known: Library) -> str:
    facts = {
        "averaging": known.averaging,
        "data of groups": known.group_data,
        "cuda_streams": known.streams,
        "unequal groups": known.unequal_groups,
        "image mode": known.image_mode,
    }
    return ", ".join(f"{name} {fact}" for name, fact in facts.items())


def xffl_exec(system: SystemFile) -> Item:
    """Check the program `xffl` and what it needs to start ranks over ssh."""
    try:
        return Item("xffl exec", State.OK, str(find_site(system.xffl).command))
    except InputError as error:
        if system.launcher == "xffl":
            return Item("xffl exec", State.MISSING, str(error))
        return Item("xffl exec", State.NOT_NEEDED, "not installed", needed_for="launcher: xffl")
