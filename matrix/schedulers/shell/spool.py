"""The jobs of the shell scheduler, as files of this user on this machine.

${XDG_STATE_HOME:-~/.local/state}/xffl-bench/shell/<host>/<id>/
    job.json         the job as submitted
    supervisor.json  the process that runs it
    started.json     written when the job starts
    ended.json       written when the job has ended
    cancel           exists if the job was cancelled
"""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from bench.contract.storage.atomic import write_whole
from bench.host.software.provenance import host, machine
from matrix.host.processes import lives, start_time
from matrix.schedulers.states import PENDING, RUNNING

T = TypeVar("T")


@dataclass(frozen=True)
class ShellJob:
    """A job as submitted. `seconds` is the time limit; `submitted` is in seconds since 1970."""

    name: str
    script: str
    log: str
    seconds: float
    warn_seconds: float
    nodes: int
    jobs_at_once: int
    after: list[str]
    submitted: float


@dataclass(frozen=True)
class Supervisor:
    """A process, identified by boot id, pid and start time."""

    boot: str
    pid: int
    start: int

    @property
    def lives(self) -> bool:
        """True if the process is alive, or is another user's and cannot be seen."""
        return self.boot == machine() and lives(self.pid, self.start) is not False


@dataclass(frozen=True)
class Started:
    """Start of a job, in seconds since 1970."""

    at: float


@dataclass(frozen=True)
class JobEnded:
    """Final state of a job and its wall time in seconds."""

    state: str
    seconds: float


def spool() -> Path:
    """Return the folder of all jobs of this user on this machine."""
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "xffl-bench" / "shell" / host()


class SpooledJob:
    """One job's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, job: ShellJob) -> SpooledJob:
        """Take the next id and write the job.

        Raises:
            OSError: it cannot be written.

        """
        place = spool()
        place.mkdir(parents=True, exist_ok=True)
        while True:
            number = max(map(int, ids()), default=0) + 1
            try:
                (place / str(number)).mkdir()
            except FileExistsError:  # another process took this id
                continue
            made = cls(place / str(number))
            _write(made.path / "job.json", job)
            return made

    @property
    def id(self) -> str:
        """Id of the job."""
        return self.path.name

    @property
    def job(self) -> ShellJob | None:
        """The job as submitted, None if its document is incomplete."""
        return _read(self.path / "job.json", ShellJob)

    @property
    def started(self) -> Started | None:
        """Start of the job, None before it."""
        return _read(self.path / "started.json", Started)

    @property
    def ended(self) -> JobEnded | None:
        """End of the job as recorded by its supervisor, None before it."""
        return _read(self.path / "ended.json", JobEnded)

    @property
    def supervisor(self) -> Supervisor | None:
        """The process that runs the job, None if it has not started."""
        return _read(self.path / "supervisor.json", Supervisor)

    @property
    def is_cancelled(self) -> bool:
        """True if the job was cancelled."""
        return (self.path / "cancel").exists()

    def cancel(self) -> None:
        """Ask the supervisor to end the job."""
        (self.path / "cancel").touch()

    def supervised_by(self, pid: int) -> None:
        """Record the process that runs the job."""
        start = start_time(pid)
        if start is not None:
            _write(self.path / "supervisor.json", Supervisor(boot=machine(), pid=pid, start=start))

    def starts(self) -> None:
        """Record that the job starts."""
        _write(self.path / "started.json", Started(at=time.time()))

    def ends(self, state: str) -> None:
        """Record that the job has ended."""
        _write(self.path / "ended.json", JobEnded(state=state, seconds=self._seconds()))

    def state(self) -> tuple[str, float]:
        """Return the job's state and its wall time in seconds."""
        if (ended := self.ended) is not None:
            return ended.state, ended.seconds
        supervisor = self.supervisor
        if supervisor is None or not supervisor.lives:
            ended = self.ended  # written since the first read
            return ("KILLED", self._seconds()) if ended is None else (ended.state, ended.seconds)
        return (PENDING if self.started is None else RUNNING), self._seconds()

    def _seconds(self) -> float:
        started = self.started
        return max(0.0, time.time() - started.at) if started is not None else 0.0


def ids() -> list[str]:
    """Return the ids of all jobs, oldest first."""
    place = spool()
    found = [entry.name for entry in place.iterdir() if re.fullmatch(r"\d+", entry.name)] if place.exists() else []
    return sorted(found, key=int)


def _read(file: Path, kind: type[T]) -> T | None:
    try:
        return kind(**json.loads(file.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):  # missing, or not written by this module
        return None


def _write(file: Path, content: ShellJob | Supervisor | Started | JobEnded) -> None:
    write_whole(file, json.dumps(asdict(content), indent=2) + "\n")
