"""Processes, found by what they carry in their environment and never by their command line. Linux."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from bench.start import OWNER


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


def boot_id() -> str:
    """Identity of this boot of this machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def oom_kills() -> int:
    """How often the kernel has killed for want of memory since boot."""
    for line in Path("/proc/vmstat").read_text(encoding="ascii").splitlines():
        name, _, count = line.partition(" ")
        if name == "oom_kill":
            return int(count)
    return 0  # kernels before 4.13 do not count


def _owner(pid: int) -> str | None:
    prefix = f"{OWNER}=".encode()
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):  # gone, or another user's: not ours
        return None
    return next((each[len(prefix) :].decode() for each in environment.split(b"\0") if each.startswith(prefix)), None)


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


def ask_for_stacks(asked: str) -> None:
    """Have every process of an owner print where it is into its log (see `bench.start`)."""
    for pid, _ in owned(asked):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGUSR1)


def end_all(asked: str, *, spare: frozenset[int] = frozenset(), spare_owner: str | None = None) -> int:
    """Kill every process of an owner (see `owned`), but for the spared; returns how many were found.

    Raises:
        StuckError: processes were still there after 10 seconds.

    """
    found: set[int] = set()
    deadline = time.monotonic() + 10
    while True:
        alive = [(pid, owner) for pid, owner in owned(asked) if pid not in spare and owner != spare_owner]
        if not alive:
            return len(found)
        if time.monotonic() > deadline:
            raise StuckError(
                f"processes {sorted(pid for pid, _ in alive)} could not be ended: look at them before going on"
            )
        for pid, owner in alive:
            found.add(pid)
            _kill(pid, owner)
        time.sleep(0.01)
