"""Ranks of a probe, forked from a process that has imported everything, and killed once they stop making progress."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.host.process import end_with, print_stack_on_request, send_output_to

QUIET = 20.0
"""Seconds without progress of any rank after which the ranks are considered deadlocked."""

_GRACE = 5.0  # seconds for the others to fail too, so that the logs contain the first fault

Beat = Callable[[], None]
Program = Callable[[int, Beat], Mapping[str, Any]]
"""Program of a rank: takes its number and a function to call on progress, returns its observations."""


@dataclass(frozen=True)
class Ended:
    """Result of the ranks.

    Attributes:
        seen: return values by rank, if all succeeded.
        failure: reason of a failure, empty without one.
        stuck: True if the ranks were deadlocked and killed.

    """

    seen: list[dict[str, Any]]
    failure: str = ""
    stuck: bool = False


def in_ranks(program: Program, world: int, *, variables: Mapping[str, str], quiet: float = QUIET) -> Ended:
    """Run `program` in `world` processes, with the environment of a torch process group; leave no process behind.

    Raises:
        OSError: a process or file cannot be created.

    """
    with tempfile.TemporaryDirectory(prefix="xffl-bench-probe-") as place:
        folder = Path(place)
        environment = {**_rendezvous(world), **variables}
        pids: list[int] = []
        try:
            pids += (_fork(program, rank, folder, environment) for rank in range(world))
            failed, stuck = _follow(pids, folder, quiet)
        finally:
            for pid in pids:
                _end(pid)
        if failed is not None or stuck:
            return Ended([], _why(folder, world, failed), stuck)
        return Ended([json.loads((folder / f"{rank}.json").read_text(encoding="utf-8")) for rank in range(world)])


def _rendezvous(world: int) -> dict[str, str]:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(world),
        "LOCAL_WORLD_SIZE": str(world),
        "GROUP_RANK": "0",
        "GROUP_WORLD_SIZE": "1",
    }


def _fork(program: Program, rank: int, folder: Path, environment: Mapping[str, str]) -> int:
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        end_with(parent)
        log = folder / f"{rank}.log"
        send_output_to(log)
        print_stack_on_request()
        os.environ.update(environment, RANK=str(rank), LOCAL_RANK=str(rank))
        seen = program(rank, lambda: os.utime(log))
        (folder / f"{rank}.json").write_text(json.dumps(seen), encoding="utf-8")
        status = 0
    except BaseException:  # noqa: BLE001 - a forked child must not continue as its parent
        traceback.print_exc()
    finally:
        os._exit(status)


def _follow(pids: list[int], folder: Path, quiet: float) -> tuple[int | None, bool]:
    """Wait for the ranks; return (the first failed rank or None, whether they were deadlocked)."""
    running = dict(enumerate(pids))
    failed: int | None = None
    failed_at = 0.0
    begin = time.time()
    while running:
        for rank, pid in list(running.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended:
                continue
            del running[rank]
            if status != 0 and failed is None:
                failed, failed_at = rank, time.time()
        if failed is not None and time.time() - failed_at > _GRACE:
            break
        if failed is None and time.time() - max([begin, *_beats(folder)]) > quiet:
            for pid in running.values():
                os.kill(pid, signal.SIGUSR1)
            time.sleep(0.5)  # let them print their stacks
            return None, True
        time.sleep(0.02)
    return failed, False


def _beats(folder: Path) -> list[float]:
    return [path.stat().st_mtime for path in folder.glob("*.log")]


def _end(pid: int) -> None:
    try:
        if os.waitpid(pid, os.WNOHANG)[0] == 0:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    except ChildProcessError:  # already waited for
        return


def _why(folder: Path, world: int, failed: int | None) -> str:
    logs = [_log(folder, rank) for rank in range(world)]
    if failed is not None:
        lines = [line for line in logs[failed].splitlines() if line.strip()]
        return f"rank {failed} failed: {lines[-1] if lines else 'it was killed'}"
    waits = (f"rank {rank} in {where}" for rank, log in enumerate(logs) if (where := _where(log)))
    return f"the ranks waited for each other: {', '.join(waits) or 'where is unknown'}"


def _log(folder: Path, rank: int) -> str:
    path = folder / f"{rank}.log"
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def _where(log: str) -> str:
    """Return the innermost function of a printed stack, without torch's wrappers."""
    frames = re.findall(r'^  File "([^"]+)", line \d+ in (\w+)$', log, re.MULTILINE)
    named = [name for path, name in frames if name != "wrapper"]
    return named[0] if named else ""
