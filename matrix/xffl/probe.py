"""Behaviour of the installed xFFL library, probed once per version, and its consequences for a run.

`bench.probe.probe` runs in the environment of the ranks. Its findings are cached in
`${XDG_CACHE_HOME:-~/.cache}/xffl-bench/probes`, next to a log.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from bench.contract.run import Library, Run
from bench.contract.storage.documents import NewerVersionError, read_document
from bench.contract.storage.files import write_document
from bench.host.software.installation import Installation
from bench.host.software.xffl_package import XfflPackage
from bench.probe.findings import Findings, Probe
from matrix.errors import InputError
from matrix.host.caches import cache
from matrix.xffl.interpreter import InImage, Python, ask, installation

Device = Literal["cpu", "cuda"]

INSTALL = "see docs/guides/xffl.md for the commands that install the commit this harness was tested with"


def probe(
    python: Python,
    command: Path | None,
    device: Device,
    *,
    anew: bool = False,
    announce: Callable[[], None] = lambda: None,
) -> Probe:
    """Return the behaviour of the xFFL library of an interpreter on a device, with its evidence.

    `command` is the program `xffl`; None for the one next to the interpreter. The first call probes the library, which
    takes about half a minute, and so does `anew`; `announce` is called before.

    Raises:
        InputError: the interpreter has no xFFL, or the probe failed.
        OSError: the cache cannot be written.

    """
    found = installation(python)
    if found.xffl is None:
        raise InputError(missing(python))
    command = command or _beside(python)
    path = _path(found, found.xffl, device)
    if not anew and (kept := _kept(path, command)):
        return kept
    announce()
    path.parent.mkdir(parents=True, exist_ok=True)
    words = ["--device", device, *(["--command", str(command)] if command else [])]
    findings = Findings.model_validate_json(ask(python, "bench.probe.probe", words, log=path.with_suffix(".log")))
    what = asdict(found.xffl) | findings.facts
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


def cached(python: Python, command: Path | None, device: Device) -> Probe | None:
    """Return what `probe` would answer from the cache, None if it would probe.

    Raises:
        InputError: the interpreter cannot be queried.

    """
    found = installation(python)
    if found.xffl is None:
        return None
    return _kept(_path(found, found.xffl, device), command or _beside(python))


def missing(python: Python) -> str:
    """Return the message that an interpreter has no xFFL, with the remedy."""
    if isinstance(python, InImage):
        return f"engine xffl: {python} has no package xffl: build the image with `xffl-bench image build --xffl`"
    return (
        f"engine xffl: {python} has no package xffl: install it there ({INSTALL}), or give an environment that has "
        "it as xffl.venv in the system file"
    )


def refusal(run: Run) -> str:
    """Return why a run would be meaningless, or "" if it is meaningful.

    Without averaging, federated groups train separate models; summed parameters are not a model either.
    """
    known = run.library
    if run.engine != "xffl" or known is None or run.layout.federation == 1 or known.averaging not in ("sum", "nothing"):
        return ""
    does = {
        "sum": "sums the parameters of federated groups without dividing",
        "nothing": "does not change the parameters of federated groups",
    }[known.averaging]
    return (
        f"{named(known)} {does} on this system ({run.system.device}), so the {run.layout.federation} groups "
        "would not train one model"
    )


def named(known: Library) -> str:
    """Return the library's name, version and commit, for a message."""
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
    """Return the cached findings, or None if unreadable, made with another program `xffl`, or incomplete.

    Those of a newer xffl-bench, which may share the cache, count as unreadable. Findings are incomplete if the machine
    had too few GPUs: the cache may also be shared with one that has more.
    """
    try:
        found = read_document(path, Probe)
    except (FileNotFoundError, ValueError, NewerVersionError):
        return None
    if found.device == "cuda" and "unknown" in (found.library.averaging, found.library.streams):
        return None
    return found if found.command == (str(command) if command else None) else None
