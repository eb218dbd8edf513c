"""Ensure one runner per sweep at a time, on any file system and without file locks.

Runners take increasing numbers. A runner takes a number by hard-linking a complete file to a name that must not exist,
which succeeds for only one; the holder has the highest number. It gives up the sweep by marking its number as released,
or by dying. Files are never deleted or replaced, so in one PID namespace two runners can never hold the sweep at once.
A runner that cannot be seen (on another host, in another namespace, of a user whose processes /proc hides) and shows no
sign of life for two minutes is considered dead; if it was not, it ends its run and writes nothing. A runner whose batch
job was requeued is dead immediately.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.contract.base import Document
from bench.contract.storage.files import write_new_document
from bench.host.software.provenance import host, machine
from matrix.errors import InputError, LostClaimError
from matrix.host.processes import is_own_proc, lives, pid_namespace, start_time
from matrix.store.sweep_folder import read_own
from matrix.store.sweep_record import timestamp

BEAT_EVERY = 20.0  # seconds
LOST_AFTER = 120.0  # seconds without a beat after which a runner that is not in /proc here is considered dead
TAKING = 20.0  # seconds that a runner on a busy host may need between taking a number without hard links and its file


class Runner(Document):
    """A process that runs sweeps."""

    host: str
    boot: str
    pid: int
    pid_namespace: int | None = None
    start: int
    since: str
    command: list[str]
    job: str | None = None
    restarts: int = 0

    @classmethod
    def this(cls) -> Runner:
        """Return the calling process.

        Raises:
            InputError: /proc does not show it.

        """
        pid = os.getpid()
        start = start_time(pid) if is_own_proc() else None
        if start is None:
            raise InputError(
                "/proc: it is that of another PID namespace, or hides this process: mount the namespace's own "
                "(unshare --mount-proc)"
            )
        return cls(
            host=host(),
            boot=machine(),
            pid=pid,
            pid_namespace=pid_namespace(),
            start=start,
            since=timestamp(),
            command=sys.argv,
            job=os.environ.get("XFFL_BENCH_JOB"),
            restarts=int(os.environ.get("XFFL_BENCH_RESTARTS", "0")),
        )

    @property
    def is_visible(self) -> bool:
        """True if /proc shows whether the runner lives: same host, boot and PID namespace."""
        return (self.host, self.boot, self.pid_namespace) == (host(), machine(), pid_namespace())

    @property
    def was_restarted(self) -> bool:
        """True if this process runs in a later, requeued start of the runner's job.

        A scheduler restarts a job only after all its processes have ended. The job's script sets these variables.
        """
        job, restarts = os.environ.get("XFFL_BENCH_JOB"), int(os.environ.get("XFFL_BENCH_RESTARTS", "0"))
        return self.job is not None and self.job == job and self.restarts < restarts


class Claim:
    """The exclusive right to run a sweep, under one number.

    Args:
        ended: returns why the right has ended although no other runner took it, or "".

    """

    def __init__(self, folder: Path, number: int, ended: Callable[[], str] = lambda: "") -> None:
        self.number = number
        self.folder = folder
        self._file = folder / f"{number:06d}.json"
        self._ended = ended
        self._over = threading.Event()
        self._beats = threading.Thread(target=self._beat, daemon=True)
        self._beats.start()

    def _beat(self) -> None:
        while not self._over.wait(BEAT_EVERY):
            with contextlib.suppress(OSError):  # LOST_AFTER leaves time for the next beats
                os.utime(self._file)

    def name(self, sweep: Path) -> str:
        """Return the path of the runner's file in the folder of the sweep."""
        return Path(os.path.relpath(self._file, sweep)).as_posix()

    def check(self) -> None:
        """Check that this runner still holds the sweep. Called immediately before anything is written for a run.

        Raises:
            LostClaimError: another runner has taken the sweep.

        """
        if reason := self._ended():
            raise LostClaimError(reason)
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


def time_here(_: Path) -> float:
    """Return the time by the clock of this host."""
    return time.time()


def time_of_files(folder: Path) -> float:
    """Return the time by the clock of a folder's file system, which all hosts share; creates a file for a moment."""
    probe = folder / f".clock.{os.getpid()}.{os.urandom(4).hex()}"
    probe.touch()
    try:
        return probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)


def holder(folder: Path, now: Callable[[Path], float] = time_here) -> Runner | None:
    """Return the runner that holds the sweep, or None if it is free.

    Args:
        now: returns the time that beats are compared with. The default needs no right to write, which is enough to
            show the holder; to take the sweep it must be `time_of_files`.

    Raises:
        InputError: the newest runner's file is damaged, or of a newer xffl-bench, and too recent to ignore.

    """
    number = _newest(folder) if folder.exists() else 0
    file = folder / f"{number:06d}.json"
    if number == 0 or file.with_suffix(".released").exists():
        return None
    try:
        runner = _read(file)
    except (ValueError, InputError) as error:
        if not _beats(file, now):
            return None
        if isinstance(error, InputError):
            raise
        raise InputError(f"{file}: cannot be read, and is newer than {LOST_AFTER:g} s: wait, or delete it") from error
    if runner.was_restarted:
        return None
    if runner.is_visible and (alive := lives(runner.pid, runner.start)) is not None:
        return runner if alive else None
    return runner if _beats(file, now) else None


def _read(file: Path) -> Runner:
    deadline = time.monotonic() + TAKING
    while True:
        was_empty = file.stat().st_size == 0  # asked first: the file may be completed while it is read
        try:
            return read_own(file, Runner)
        except ValueError:
            if not was_empty or time.monotonic() > deadline:
                raise
        time.sleep(0.05)


def _beats(file: Path, now: Callable[[Path], float]) -> bool:
    """Return True if a runner's file was touched recently."""
    return now(file.parent) - file.stat().st_mtime < LOST_AFTER


def _take(folder: Path, number: int) -> bool:
    return write_new_document(folder / f"{number:06d}.json", Runner.this())


@contextmanager
def claim(folder: Path, waiting: Callable[[Runner], None], ended: Callable[[], str] = lambda: "") -> Iterator[Claim]:
    """Hold the sweep during the block; call `waiting` once for each runner that this one waits for.

    `ended` is as in `Claim`.

    Raises:
        InputError: as `holder`, or /proc does not show this process.

    """
    folder.mkdir(parents=True, exist_ok=True)
    said: Runner | None = None
    while True:
        number = _newest(folder)
        present = holder(folder, time_of_files)
        if present is None and _newest(folder) == number and _take(folder, number + 1):
            break
        if present is not None:
            if present != said:
                waiting(present)
                said = present
            time.sleep(0.2)
    own = Claim(folder, number + 1, ended)
    try:
        yield own
    finally:
        own.release()
