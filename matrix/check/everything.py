"""Check everything that a system file needs, one item after the other."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field
from rich.console import Console
from rich.text import Text

from bench.contract.base import Document
from matrix.check import environment, hosts, machine
from matrix.check.item import Item, State
from matrix.check.scheduler import schedulers
from matrix.config.settings.image import ImageSettings
from matrix.config.system import SystemFile
from matrix.errors import InputError
from matrix.image.image import Image
from matrix.xffl.interpreter import installation

_MARKS = {State.OK: ("✓", "green"), State.MISSING: ("✗", "red"), State.NOT_NEEDED: ("-", "dim")}


def items(
    system: SystemFile, image: Path | None, results: Path, say: Callable[[str], None], *, anew: bool
) -> Iterator[Item]:
    """Yield the items that a sweep on a system needs.

    Args:
        system: the system file.
        image: image to check in place of the system file's.
        results: results folder.
        say: shows a message before something slow.
        anew: probe xFFL even if cached.

    Raises:
        OSError: the findings about xFFL cannot be cached.

    """
    settings = system.image
    if settings and image is None:
        image = Path(settings.path)
    interpreter = Path(sys.executable)
    if system.launcher == "xffl" and system.xffl.venv:
        interpreter = Path(system.xffl.venv) / "bin" / "python"
    try:
        found = installation(interpreter)
    except InputError as error:
        yield Item("Python", State.MISSING, str(error), "its packages were not checked")
    else:
        yield environment.python(interpreter, found)
        if settings is None:
            yield from environment.torch(interpreter, system)
            yield environment.xffl(interpreter, found, system, say, anew=anew)
        yield environment.xffl_exec(system)
        yield hosts.client(system)
        yield from hosts.hosts(system, interpreter, found)
    program = settings.program if settings else None
    outside = machine.containers(image, program), machine.image(image, program, on_gpus=system.device == "cuda")
    yield from outside
    if settings and all(item.state is State.OK for item in outside):
        yield from _in_image(settings, system, say, anew=anew)
    yield from schedulers(system)
    yield machine.room("results", results)
    yield machine.room("TMPDIR", Path(tempfile.gettempdir()))
    yield machine.semaphores_of_host()


def _in_image(settings: ImageSettings, system: SystemFile, say: Callable[[str], None], *, anew: bool) -> Iterator[Item]:
    """Yield the items that ranks need inside the image."""
    try:
        interpreter = Image(settings).python(system.device)
        found = installation(interpreter)
    except InputError as error:
        yield Item("Python", State.MISSING, str(error), "its packages were not checked")
        return
    yield environment.python(interpreter, found)
    yield from environment.torch(interpreter, system)
    yield environment.xffl(interpreter, found, system, say, anew=anew)


class CheckedItem(Document):
    """An item that a system may need."""

    name: str = Field(description="name of the item")
    state: State = Field(description="ok, missing, or not needed")
    found: str = Field(description="what was found")
    remedy: str = Field(description="what to do, or the consequence; may be empty")
    needed_for: str = Field(description="what an item that is not needed would be needed for; empty for any other")


class CheckDocument(Document):
    """What a system needs, as `check --json` prints it."""

    version: Literal[1] = Field(1, description="version of this document")
    system: str = Field(description="name of the system")
    ready: bool = Field(description="true if nothing that the system needs is missing")
    items: list[CheckedItem] = Field(description="all items, in the order of the text")


def document(system: SystemFile, image: Path | None, results: Path, *, anew: bool) -> CheckDocument:
    """Return all items. Arguments and errors are as in `items`."""
    found = [
        CheckedItem(name=item.name, state=item.state, found=item.found, remedy=item.remedy, needed_for=item.needed_for)
        for item in items(system, image, results, lambda _: None, anew=anew)
    ]
    is_ready = all(item.state is not State.MISSING for item in found)
    return CheckDocument(system=system.name, ready=is_ready, items=found)


def check(system: SystemFile, image: Path | None, results: Path, console: Console, *, anew: bool) -> bool:
    """Print one line per item; return True if nothing that the system needs is missing. Raises as `items`."""

    def say(sentence: str) -> None:
        console.print(sentence, style="dim", soft_wrap=True)

    all_there = True
    for item in items(system, image, results, say, anew=anew):
        mark, style = _MARKS[item.state]
        line = Text.assemble((f"{mark} {item.name}", style), f"  {item.state}: {item.found}")
        if item.remedy:
            line.append(f" -> {item.remedy}", "bold")
        if item.needed_for:
            line.append(f"; only for {item.needed_for}")
        console.print(line, soft_wrap=True)
        all_there &= item.state is not State.MISSING
    return all_there
