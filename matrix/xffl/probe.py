"""What the installed xFFL library does, found once for each version of it, and what that says of a run.

`bench.probe.probe` finds it, in the environment whose ranks will use the library; what it found is kept in
`${XDG_CACHE_HOME:-~/.cache}/xffl-bench/probes`, with a log beside it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from bench.contract.files import write_document
from bench.contract.run import Library, Run
from bench.host.installation import Installation
from bench.host.xffl_package import XfflPackage
from bench.probe.findings import Findings, Probe
from matrix.errors import InputError
from matrix.host.caches import cache
from matrix.xffl.interpreter import InImage, Python, ask, installation

Device = Literal["cpu", "cuda"]

INSTALL = "see docs/guides/xffl.md for the commands that install the commit this harness was tried with"


def library(python: Python, command: Path | None, device: Device) -> Library:
    """What the xFFL library of the interpreter `python` does on a device; `command` is the program `xffl`, None for the
    one beside the interpreter. Probes at the first call, for about half a minute.

    Raises:
        InputError: the interpreter has no xFFL, or the probe failed.
        OSError: the cache cannot be written.

    """
    return probe(python, command, device).library


def probe(python: Python, command: Path | None, device: Device, *, anew: bool = False) -> Probe:
    """The same with its evidence; `anew` probes also where that was done before. Raises as `library`."""
    found = installation(python)
    if found.xffl is None:
        raise InputError(missing(python))
    command = command or _beside(python)
    path = _path(found, found.xffl, device)
    if not anew and (kept := _kept(path, command)):
        return kept
    path.parent.mkdir(parents=True, exist_ok=True)
    words = ["--device", device, *(["--command", str(command)] if command else [])]
    findings = Findings.model_validate_json(ask(python, "bench.probe.probe", words, log=path.with_suffix(".log")))
    what = found.xffl.model_dump() | findings.facts
    made = Probe(
        library=Library.model_validate(what),
        evidence=findings.evidence,
        torch=found.torch,
        device=device,
        command=str(command) if command else None,
        seconds=findings.seconds,
    )
    write_document(path, made)
    return made


def is_known(python: Python, found: Installation, command: Path | None, device: Device) -> bool:
    """Whether `probe` would answer at once; `found` is what the environment has."""
    if found.xffl is None:
        return False
    return _kept(_path(found, found.xffl, device), command or _beside(python)) is not None


def missing(python: Python) -> str:
    """That an interpreter has no xFFL, and the remedy."""
    if isinstance(python, InImage):
        return f"engine xffl: {python} finds no package xffl: make the image with `xffl-bench image build --xffl`"
    return (
        f"engine xffl: {python} finds no package xffl: install it there ({INSTALL}), or name an environment that has "
        "it under xffl.venv in the system file"
    )


def refusal(run: Run) -> str:
    """Why a run would say nothing, empty where it says something: groups that are never averaged train for themselves,
    and sums of parameters are no parameters.
    """
    known = run.library
    if run.engine != "xffl" or known is None or run.layout.federation == 1 or known.averaging not in ("sum", "nothing"):
        return ""
    does = {
        "sum": "adds up the parameters of federated groups and does not divide them",
        "nothing": "leaves the parameters of federated groups as they are",
    }[known.averaging]
    return (
        f"{named(known)} {does} on this system ({run.system.device}), so the {run.layout.federation} groups "
        "would train no model"
    )


def named(known: Library) -> str:
    """The library, for a sentence."""
    origin = f"commit {known.commit[:7]}" if known.commit else f"digest {known.digest[:7]}"
    return f"xFFL {known.version} ({origin})"


def _beside(python: Python) -> Path | None:
    if isinstance(python, InImage):
        return None  # `xffl exec` starts containers from outside
    command = python.parent / "xffl"
    return command if command.exists() else None


def _path(found: Installation, xffl: XfflPackage, device: Device) -> Path:
    return cache("probes") / f"{xffl.digest}-{found.torch}-{device}.json"


def _kept(path: Path, command: Path | None) -> Probe | None:
    """What was found before, unless another program `xffl` is to be tried now or it cannot be read any more. What a
    machine had too few GPUs for is looked for again: the cache may be shared with one that has more.
    """
    try:
        found = Probe.model_validate_json(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    if found.device == "cuda" and "unknown" in (found.library.averaging, found.library.streams):
        return None
    return found if found.command == (str(command) if command else None) else None
