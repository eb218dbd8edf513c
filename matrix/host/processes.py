"""Find and end processes by an owner in their environment, never by their command line. Linux only.

    python -m matrix.host.processes end OWNER

ends the processes of an owner (see `owned`) on this machine; called over ssh, it cleans up the hosts of a run.
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
    """Processes cannot be killed, for example because a device or file system does not respond."""


def start_time(pid: int) -> int | None:
    """Return the start of a process in clock ticks since boot, or None if /proc does not show it.

    Pid and start time together identify a process.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError, PermissionError):  # another user's where /proc has hidepid
        return None
    fields = stat.rpartition(")")[2].split()  # the preceding name may contain blanks
    return None if fields[0] in "ZX" else int(fields[19])


def lives(pid: int, start: int) -> bool | None:
    """Return whether a process lives that was identified by `start_time`, or None if that cannot be told.

    Login nodes often mount /proc with hidepid, which shows nobody the processes of others.
    """
    if (shown := start_time(pid)) is not None:
        return shown == start
    try:
        os.kill(pid, 0)
    except PermissionError:
        return None
    except ProcessLookupError:
        pass
    return False


def pid_namespace() -> int:
    """Return the id of this process's PID namespace: a pid means nothing in another one, such as a container's."""
    return Path("/proc/self/ns/pid").stat().st_ino


def is_own_proc() -> bool:
    """Return True if /proc shows this process under its own pid, False if it is that of another PID namespace."""
    try:
        return Path("/proc/self").readlink().name == str(os.getpid())
    except FileNotFoundError:
        return False


def oom_kills() -> int:
    """Return the number of the kernel's out-of-memory kills since boot."""
    for line in Path("/proc/vmstat").read_text(encoding="ascii").splitlines():
        name, _, count = line.partition(" ")
        if name == "oom_kill":
            return int(count)
    return 0  # kernels before 4.13 do not count


_FACILITY = re.compile(rb"XFFL_FACILITY=.*/facility\.owner-([0-9a-f]+)-([^/]+)\.sh")


def facility_name(owner: str) -> str:
    """Return the name of the facility script for `xffl exec`, which contains the owner.

    The shells that xFFL starts on a node have only xFFL's variables in their environment, none of ours; the path of
    this script is one of them.
    """
    sweep, _, number = owner.partition("/")
    return f"facility.owner-{sweep}-{number}.sh"


def _owner(pid: int) -> str | None:
    prefix = f"{OWNER}=".encode()
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError, PermissionError):  # ended, or another user's
        return None
    for each in environment:
        if each.startswith(prefix):
            return each[len(prefix) :].decode()
    shells = (_FACILITY.fullmatch(each) for each in environment)
    return next((f"{match[1].decode()}/{match[2].decode()}" for match in shells if match), None)


def owned(asked: str) -> Iterator[tuple[int, str]]:
    """Yield (pid, owner) of the living processes of one owner `sweep/number`, or of a whole sweep `sweep/`."""
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
        if _owner(pid) == owner:  # the pidfd refers to this process even if the pid is reused meanwhile
            signal.pidfd_send_signal(handle, signal.SIGKILL)
    except ProcessLookupError:
        pass
    finally:
        os.close(handle)


def _listens(pid: int, number: int) -> bool:
    """Return True if a process handles a signal; the signal would end others."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    caught = next((line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")), "0")
    return bool(int(caught, 16) >> (number - 1) & 1)


def ask_for_stacks(asked: str) -> None:
    """Make every rank of an owner print its stack into its log (see `bench.start`)."""
    for pid, _ in owned(asked):
        if _listens(pid, signal.SIGUSR1):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGUSR1)


def end_all(asked: str, *, spare: frozenset[int] = frozenset(), spare_owner: str | None = None) -> int:
    """Kill every process of an owner (see `owned`) except the spared ones; return how many were found.

    Raises:
        StuckError: processes still exist after 10 seconds.

    """
    found: set[int] = set()
    deadline = time.monotonic() + 10
    looks = 0
    while True:
        alive = [(pid, owner) for pid, owner in owned(asked) if pid not in spare and owner != spare_owner]
        # Require two empty scans: a process in the middle of exec shows no environment, and one that was just forked
        # may have been missed.
        looks = 0 if alive else looks + 1
        if looks == 2:
            return len(found)
        if time.monotonic() > deadline:
            raise StuckError(
                f"processes {sorted(pid for pid, _ in alive)} could not be killed: check them before continuing"
            )
        for pid, owner in alive:
            found.add(pid)
            _kill(pid, owner)
        time.sleep(0.01)


def main() -> int:
    """Run the command line of this module; return an exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    end = commands.add_parser("end", help="kill the owner's processes")
    end.add_argument("--spare-owner", help="except those of this owner")
    commands.add_parser("stacks", help="make the owner's ranks print their stacks into their logs")
    for command in commands.choices.values():
        command.add_argument("owner", help="<sweep>/<number>, or <sweep>/ for a whole sweep")
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
