"""Ensure one runner per sweep at a time, on any file system and without file locks.

Runners take increasing numbers. A runner takes a number by hard-linking a complete file to a name that must not exist,
which succeeds for only one; the holder has the highest number. It gives up the sweep by marking its number as released,
or by dying. Files are never deleted or replaced, so on one host two runners can never hold the sweep at once. A runner
on another host that shows no sign of life for two minutes is considered dead; if it was not, it stops before its next
run. A runner whose batch job was requeued is dead immediately.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.contract.base import Document
from bench.contract.files import write_document
from bench.host.provenance import host, machine
from matrix.errors import InputError
from matrix.host.processes import start_time
from matrix.store.sweep_folder import read_own, timestamp

BEAT_EVERY = 20.0  # seconds
LOST_AFTER = 120.0  # seconds without a beat after which a runner on another host is considered dead


class Runner(Document):
    """A process that runs sweeps."""

    host: str
    boot: str
    pid: int
    start: int
    since: str
    command: list[str]
    job: str | None = None
    restarts: int = 0

    @classmethod
    def this(cls) -> Runner:
        """Return the calling process."""
        pid = os.getpid()
        start = start_time(pid)
        if start is None:
            raise RuntimeError("this process is not in /proc")
        return cls(
            host=host(),
            boot=machine(),
            pid=pid,
            start=start,
            since=timestamp(),
            command=sys.argv,
            job=os.environ.get("XFFL_BENCH_JOB"),
            restarts=int(os.environ.get("XFFL_BENCH_RESTARTS", "0")),
        )

    @property
    def was_restarted(self) -> bool:
        """True if this process runs in a later, requeued start of the runner's job.

        A scheduler restarts a job only after all its processes have ended. The job's script sets these variables.
        """
        job, restarts = os.environ.get("XFFL_BENCH_JOB"), int(os.environ.get("XFFL_BENCH_RESTARTS", "0"))
        return self.job is not None and self.job == job and self.restarts < restarts


class LostClaimError(RuntimeError):
    """Another runner has taken the sweep because this one showed no sign of life, for example while stopped."""


class Claim:
    """The exclusive right to run a sweep, under one number."""

    def __init__(self, folder: Path, number: int) -> None:
        self.number = number
        self.folder = folder
        self._file = folder / f"{number:06d}.json"
        self._over = threading.Event()
        self._beats = threading.Thread(target=self._beat, daemon=True)
        self._beats.start()

    def _beat(self) -> None:
        while not self._over.wait(BEAT_EVERY):
            self._file.touch()

    def check(self) -> None:
        """Check that this runner still holds the sweep.

        Raises:
            LostClaimError: another runner has taken the sweep.

        """
        if (newest := _newest(self.folder)) != self.number:
            raise LostClaimError(f"runner {newest} has taken over this sweep; see {self.folder}/{newest:06d}.json")

    def release(self) -> None:
        """Release the sweep for other runners."""
        self._over.set()
        self._beats.join()
        self._file.with_suffix(".released").touch()


def _newest(folder: Path) -> int:
    numbers = [int(match[1]) for entry in folder.iterdir() if (match := re.fullmatch(r"(\d+)\.json", entry.name))]
    return max(numbers, default=0)


def holder(folder: Path) -> Runner | None:
    """Return the runner that holds the sweep, or None if it is free.

    Raises:
        InputError: the newest runner's file is damaged, or of a newer xffl-bench, and too recent to ignore.

    """
    number = _newest(folder) if folder.exists() else 0
    file = folder / f"{number:06d}.json"
    if number == 0 or file.with_suffix(".released").exists():
        return None
    try:
        runner = read_own(file, Runner)
    except (ValueError, InputError) as error:
        if not _beats(file):
            return None
        if isinstance(error, InputError):
            raise
        raise InputError(f"{file}: cannot be read, and is newer than {LOST_AFTER:g} s: wait, or delete it") from error
    if runner.was_restarted:
        return None
    if runner.host == host() and runner.boot == machine():
        return runner if start_time(runner.pid) == runner.start else None
    return runner if _beats(file) else None


def _beats(file: Path) -> bool:
    """Return True if a runner's file was touched recently, by the file system's clock, which all hosts share."""
    probe = file.parent / f".clock.{host()}.{os.getpid()}"
    probe.touch()
    age = probe.stat().st_mtime - file.stat().st_mtime
    probe.unlink()
    return age < LOST_AFTER


def _take(folder: Path, number: int) -> bool:
    beside = folder / f".{host()}.{os.getpid()}"
    write_document(beside, Runner.this())
    try:
        os.link(beside, folder / f"{number:06d}.json")
    except FileExistsError:
        return False
    finally:
        beside.unlink()
    return True


@contextmanager
def claim(folder: Path, waiting: Callable[[Runner], None]) -> Iterator[Claim]:
    """Hold the sweep during the block; call `waiting` once for each runner that this one waits for."""
    folder.mkdir(parents=True, exist_ok=True)
    said: Runner | None = None
    while True:
        number = _newest(folder)
        present = holder(folder)
        if present is None and _newest(folder) == number and _take(folder, number + 1):
            break
        if present is not None:
            if present != said:
                waiting(present)
                said = present
            time.sleep(0.2)
    own = Claim(folder, number + 1)
    try:
        yield own
    finally:
        own.release()
