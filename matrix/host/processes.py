"""Processes, found by what they carry in their environment and never by their command line. Linux.

    python -m matrix.host.processes end OWNER

ends those of an owner (see `owned`) on the machine that it is called on: so the hosts of a run are cleaned over ssh.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench.host.process import OWNER

STUCK = 3
"""Exit status of `end` if processes could not be ended; its last line of output then says which, on which host."""


class StuckError(RuntimeError):
    """Processes that cannot be killed, as happens when a device or file system does not answer."""


def start_time(pid: int) -> int | None:
    """Clock ticks from boot to the start of a process, None where there is none: with the pid, its identity."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()  # the name before it can hold blanks
    return None if fields[0] in "ZX" else int(fields[19])


def oom_kills() -> int:
    """How often the kernel has killed for want of memory since boot."""
    for line in Path("/proc/vmstat").read_text(encoding="ascii").splitlines():
        name, _, count = line.partition(" ")
        if name == "oom_kill":
            return int(count)
    return 0  # kernels before 4.13 do not count


_FACILITY = re.compile(rb"XFFL_FACILITY=.*/facility\.owner-([0-9a-f]+)-([^/]+)\.sh")


def facility_name(owner: str) -> str:
    """Name of the script that `xffl exec` is given. The shells that xFFL starts on a node have xFFL's own variables in
    their environment and none of ours, so the name of that script carries the owner.
    """
    sweep, _, number = owner.partition("/")
    return f"facility.owner-{sweep}-{number}.sh"


def _owner(pid: int) -> str | None:
    prefix = f"{OWNER}=".encode()
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError, PermissionError):  # gone, or another user's: not ours
        return None
    for each in environment:
        if each.startswith(prefix):
            return each[len(prefix) :].decode()
    shells = (_FACILITY.fullmatch(each) for each in environment)
    return next((f"{match[1].decode()}/{match[2].decode()}" for match in shells if match), None)


def owned(asked: str) -> Iterator[tuple[int, str]]:
    """(pid, owner) of the living processes of an owner `sweep/number`, or of all of a sweep's: `sweep/`."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            owner = _owner(int(entry.name))
            ours = owner is not None and (owner.startswith(asked) if asked.endswith("/") else owner == asked)
            if owner is not None and ours and start_time(int(entry.name)) is not None:
                yield int(entry.name), owner


def _kill(pid: int, owner: str) -> None:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if _owner(pid) == owner:  # the handle holds the pid: it cannot have been given to another in between
            signal.pidfd_send_signal(handle, signal.SIGKILL)
    except ProcessLookupError:
        pass
    finally:
        os.close(handle)


def _listens(pid: int, number: int) -> bool:
    """Whether a process has a handler of its own for a signal; others would be ended by it."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    caught = next((line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")), "0")
    return bool(int(caught, 16) >> (number - 1) & 1)


def ask_for_stacks(asked: str) -> None:
    """Have every rank of an owner print where it is into its log (see `bench.start`)."""
    for pid, _ in owned(asked):
        if _listens(pid, signal.SIGUSR1):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGUSR1)


def end_all(asked: str, *, spare: frozenset[int] = frozenset(), spare_owner: str | None = None) -> int:
    """Kill every process of an owner (see `owned`), but for the spared; returns how many were found.

    Raises:
        StuckError: processes were still there after 10 seconds.

    """
    found: set[int] = set()
    deadline = time.monotonic() + 10
    looks = 0
    while True:
        alive = [(pid, owner) for pid, owner in owned(asked) if pid not in spare and owner != spare_owner]
        # Twice nothing: a process that is just being executed shows no environment, and one that was just forked may
        # have come behind the look.
        looks = 0 if alive else looks + 1
        if looks == 2:
            return len(found)
        if time.monotonic() > deadline:
            raise StuckError(
                f"processes {sorted(pid for pid, _ in alive)} could not be ended: look at them before going on"
            )
        for pid, owner in alive:
            found.add(pid)
            _kill(pid, owner)
        time.sleep(0.01)


def main() -> int:
    """Command line of this module; returns an exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    end = commands.add_parser("end", help="kill them")
    end.add_argument("--spare-owner", help="but for those of this owner")
    commands.add_parser("stacks", help="have ranks print where they are into their logs")
    for command in commands.choices.values():
        command.add_argument("owner", help="<sweep>/<number>, or <sweep>/ for all of a sweep")
    arguments = parser.parse_args()
    if arguments.command == "stacks":
        ask_for_stacks(arguments.owner)
        return 0
    try:
        end_all(arguments.owner, spare_owner=arguments.spare_owner)
    except StuckError as error:
        print(f"{socket.gethostname()}: {error}")
        return STUCK
    return 0


if __name__ == "__main__":
    sys.exit(main())
