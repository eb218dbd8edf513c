"""Run a rank's or an agent's command in the image, on its node.

    python -P -m matrix.image.enter_node RUN/image.json -- COMMAND...

selects the environment variables that ranks need and executes Apptainer, which starts the command. It is started once
per rank or agent, so it imports nothing slow.

Everything ends with the process that started this one (checked if given as `--parent`). PR_SET_PDEATHSIG does not work
for Apptainer: it executes its starter from another thread than the first, and the setting is per thread (seen with
1.4.5). So a guard process watches both and kills Apptainer. SIGKILL to Apptainer leaves its children running, so
processes in the image ask to be killed with their parent, which is Apptainer. Cleanup finds the guard and the processes
inside by the owner in their environment; Apptainer itself has no owner there, and ends with its children.
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
    """What a node needs to run processes of a run in the image; stored as `image.json`.

    Attributes:
        on_gpus: ranks use the node's GPUs.
        scratch: folder for temporary files and caches; its variables are expanded on the node.
        environment: variables that take precedence over the node's.

    """

    image: str
    program: str | None
    on_gpus: bool
    workdir: str
    scratch: str
    binds: tuple[Bind, ...]
    environment: dict[str, str]

    def as_json(self) -> str:
        """Return the content of the file."""
        binds = [[str(bind.path), bind.writable, bind.at and str(bind.at)] for bind in self.binds]
        return json.dumps(vars(self) | {"binds": binds}, indent=2)

    @classmethod
    def from_json(cls, text: str) -> Entry:
        """Parse the content of the file."""
        found = json.loads(text)
        binds = tuple(Bind(Path(path), writable, at and Path(at)) for path, writable, at in found.pop("binds"))
        return cls(**found, binds=binds)


def become(entry: Entry, command: Sequence[str]) -> NoReturn:
    """Replace this process by Apptainer.

    Raises:
        InputError: something that the image needs is missing on this node.
        OSError: Apptainer cannot be executed, or the scratch folder cannot be created.

    """
    program = str(find_program(entry.program, key="image.program"))
    own = own_folder(expanded(entry.scratch))
    binds = [*entry.binds, Bind(own, writable=True)]
    for path in (Path(entry.image), *(bind.path for bind in binds)):
        if not path.exists():
            raise InputError(f"{path} does not exist, and ranks in the image need it: mount it, or give another path")
    variables = {**carried(os.environ), **scratch(own), **entry.environment}
    words = enter(
        Path(entry.image), device(on_gpus=entry.on_gpus), binds, variables, workdir=Path(entry.workdir), program=program
    )
    os.execve(program, [*words, *command], {**os.environ, **hidden(os.environ, program=program)})


def expanded(folder: str) -> Path:
    """Expand this node's variables in the path of a folder.

    Raises:
        InputError: a variable is not set here, or the path is relative.

    """
    found = os.path.expanduser(os.path.expandvars(folder))  # noqa: PTH111 - Path.expanduser raises for an unknown user
    if unset := re.search(r"\$\{?\w+\}?", found):
        raise InputError(f"image.scratch: {folder}: {unset[0]} is not set here: give a folder without it")
    if not found.startswith("/"):
        raise InputError(f"image.scratch: {folder}: should be an absolute path")
    return Path(found)


def own_folder(place: Path) -> Path:
    """Return the user's own folder inside a shared one; create it if missing.

    Raises:
        InputError: the shared folder does not exist, or the user's folder belongs to another user.
        OSError: the folder cannot be created.

    """
    folder = place / f"xffl-bench-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except FileNotFoundError:
        raise InputError(f"image.scratch: the folder {place} does not exist: create it, or give another") from None
    except FileExistsError:
        raise InputError(f"image.scratch: {folder} is not a folder: remove it, or give another place") from None
    if found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode):
        raise InputError(f"image.scratch: {folder} belongs to another user: give another place")
    return folder


def device(*, on_gpus: bool) -> Device:
    """Return the kind of device that a container gets; /dev/kfd tells AMD GPUs from NVIDIA's."""
    if not on_gpus:
        return "cpu"
    return "rocm" if Path("/dev/kfd").exists() else "cuda"


def guard(parent: int) -> None:
    """Fork a guard that kills this process, whatever program it executes later, when its parent has died.

    Raises:
        InputError: the parent has already died.

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
    if os.fork() == 0:  # not a child of Apptainer, which waits for its children
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):  # readers of a log wait for all writers
            os.dup2(nothing, stream)
        ended, _, _ = select.select([own, other], [], [])
        if own not in ended:
            signal.pidfd_send_signal(own, signal.SIGKILL)
    os._exit(0)


def main() -> NoReturn:
    """Run the command line of this module; exit with a message if something is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parent", type=int, help="end with this process (default: the parent)")
    parser.add_argument("entry", type=Path, help="image.json of a run")
    parser.usage = "%(prog)s [--parent PARENT] ENTRY -- COMMAND..."
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    arguments, command = parser.parse_args(sys.argv[1:split]), sys.argv[split + 1 :]  # may itself contain a `--`
    if not command:
        parser.error("no command: give the command to run in the image after --")
    try:
        guard(arguments.parent or os.getppid())
        become(Entry.from_json(arguments.entry.read_text(encoding="utf-8")), command)
    except InputError as error:
        sys.exit(f"node {socket.gethostname()}: {error}")
    except OSError as error:
        sys.exit(f"node {socket.gethostname()}: {error.filename or 'the image'}: {error.strerror}")


if __name__ == "__main__":
    main()
