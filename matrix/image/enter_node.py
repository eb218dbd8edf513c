"""What stands before a rank's or an agent's command on a node, and brings it into the image.

    python -P -m matrix.image.enter_node RUN/image.json -- COMMAND...

takes of the variables that it finds those that ranks must know, and becomes Apptainer, which starts the command. It is
started as often as ranks are, so it imports nothing that takes time.

All ends with the process that started this one (`--parent`, where that one must be sure of it). Apptainer cannot ask
the kernel for that: it executes its starter from another thread than the first, and the wish is a thread's own (seen
with 1.4.5). So a guard stays behind that watches both and kills Apptainer. SIGKILL to Apptainer leaves what it started
running, so what is started in the image asks to end with its parent, which is Apptainer. Whoever cleans up finds the
guard and what is inside by the owner in their environment; Apptainer has none there, and ends with what it started.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import select
import signal
import socket
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from matrix.errors import InputError
from matrix.image.apptainer import find_program
from matrix.image.apptainer_command import Bind, carried, enter, hidden, scratch
from matrix.image.base import Device


@dataclass(frozen=True)
class Entry:
    """What a node has to know to bring a run's processes into the image: the file `image.json`.

    Attributes:
        on_gpus: whether ranks compute on the node's GPUs.
        scratch: folder for temporary files and caches, with variables that this node knows.
        environment: variables that hold, whatever the node says.

    """

    image: str
    program: str | None
    on_gpus: bool
    workdir: str
    scratch: str
    binds: tuple[Bind, ...]
    environment: dict[str, str]

    def as_json(self) -> str:
        """The file's content."""
        binds = [[str(bind.path), bind.writable, bind.at and str(bind.at)] for bind in self.binds]
        return json.dumps(vars(self) | {"binds": binds}, indent=2)

    @classmethod
    def from_json(cls, text: str) -> Entry:
        """Read the file's content."""
        found = json.loads(text)
        binds = tuple(Bind(Path(path), writable, at and Path(at)) for path, writable, at in found.pop("binds"))
        return cls(**found, binds=binds)


def become(entry: Entry, command: Sequence[str]) -> NoReturn:
    """Execute Apptainer in the place of this process.

    Raises:
        InputError: something that the image needs is not on this node.
        OSError: Apptainer cannot be executed, or the scratch folder not be made.

    """
    program = str(find_program(entry.program, key="image.program"))
    own = own_folder(expanded(entry.scratch))
    binds = [*entry.binds, Bind(own, writable=True)]
    for path in (Path(entry.image), *(bind.path for bind in binds)):
        if not path.exists():
            raise InputError(f"{path} is not there, and ranks in the image need it: mount it, or name another")
    variables = {**carried(os.environ), **scratch(own), **entry.environment}
    words = enter(
        Path(entry.image), device(on_gpus=entry.on_gpus), binds, variables, workdir=Path(entry.workdir), program=program
    )
    os.execve(program, [*words, *command], {**os.environ, **hidden(os.environ, program=program)})


def expanded(folder: str) -> Path:
    """A folder with this node's variables in it.

    Raises:
        InputError: it has a variable that is not set here, or depends on the working directory.

    """
    found = os.path.expanduser(os.path.expandvars(folder))  # noqa: PTH111 - a `~` that is nobody's is told, not raised
    if unset := re.search(r"\$\{?\w+\}?", found):
        raise InputError(f"image.scratch: {folder}: {unset[0]} is not set here: name a folder without it")
    if not found.startswith("/"):
        raise InputError(f"image.scratch: {folder}: should be an absolute path")
    return Path(found)


def own_folder(place: Path) -> Path:
    """The user's folder below one that others may use too; made where it is not there.

    Raises:
        InputError: there is no such place, or somebody else has made the folder.
        OSError: it cannot be made.

    """
    folder = place / f"xffl-bench-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except FileNotFoundError:
        raise InputError(f"image.scratch: there is no folder {place}: make it, or name another") from None
    except FileExistsError:
        raise InputError(f"image.scratch: {folder} is no folder: remove it, or name another place") from None
    if found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode):
        raise InputError(f"image.scratch: {folder} belongs to somebody else: name another place")
    return folder


def device(*, on_gpus: bool) -> Device:
    """What a container gets of this machine's devices: AMD's driver has a file of its own."""
    if not on_gpus:
        return "cpu"
    return "rocm" if Path("/dev/kfd").exists() else "cuda"


def guard(parent: int) -> None:
    """Leave a process behind that kills this one, whatever program it has become, when its parent has died.

    Raises:
        InputError: it has died already.

    """
    here = os.getpid()
    own = os.pidfd_open(here)
    try:
        other = os.pidfd_open(parent)
    except ProcessLookupError:
        other = None
    if other is None or os.getppid() != parent:
        raise InputError(f"process {parent}, which started this one, has ended")
    if child := os.fork():
        os.waitpid(child, 0)
        return
    if os.fork() == 0:  # a child of nobody's: Apptainer waits for its own
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):  # a log's reader would wait for it
            os.dup2(nothing, stream)
        ended, _, _ = select.select([own, other], [], [])
        if own not in ended:
            signal.pidfd_send_signal(own, signal.SIGKILL)
    os._exit(0)


def main() -> NoReturn:
    """Command line of this module; returns only where something is missing, in one sentence."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parent", type=int, help="end with this process (the one that started it)")
    parser.add_argument("entry", type=Path, help="image.json of a run")
    parser.usage = "%(prog)s [--parent PARENT] ENTRY -- COMMAND..."
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    arguments, command = parser.parse_args(sys.argv[1:split]), sys.argv[split + 1 :]  # which may have a `--` of its own
    if not command:
        parser.error("no command: what stands behind -- is started in the image")
    try:
        guard(arguments.parent or os.getppid())
        become(Entry.from_json(arguments.entry.read_text(encoding="utf-8")), command)
    except InputError as error:
        sys.exit(f"node {socket.gethostname()}: {error}")
    except OSError as error:
        sys.exit(f"node {socket.gethostname()}: {error.filename or 'the image'}: {error.strerror}")


if __name__ == "__main__":
    main()
