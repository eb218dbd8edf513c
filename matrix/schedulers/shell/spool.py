"""The jobs of the shell scheduler, as files of this user on this machine.

${XDG_STATE_HOME:-~/.local/state}/xffl-bench/shell/<host>/<id>/
    job.json         what was submitted
    supervisor.json  the process that runs it
    started.json     once its turn has come
    ended.json       once it has ended
    cancel           if somebody has cancelled it
"""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from bench.contract.atomic import write_whole
from bench.host.provenance import host, machine
from matrix.host.processes import start_time
from matrix.schedulers.states import PENDING, RUNNING

T = TypeVar("T")


@dataclass(frozen=True)
class ShellJob:
    """A job as it was submitted; `seconds` is its time limit, `submitted` seconds since 1970."""

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
    """A process, by what no other process has."""

    boot: str
    pid: int
    start: int

    @property
    def lives(self) -> bool:
        """True if it is still there."""
        return self.boot == machine() and start_time(self.pid) == self.start


@dataclass(frozen=True)
class Started:
    """When a job's turn came, in seconds since 1970."""

    at: float


@dataclass(frozen=True)
class JobEnded:
    """How a job ended, and after how many seconds."""

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
        """Take the next id and write the job. Raises OSError: it cannot be written."""
        place = spool()
        place.mkdir(parents=True, exist_ok=True)
        while True:
            number = max(map(int, ids()), default=0) + 1
            try:
                (place / str(number)).mkdir()
            except FileExistsError:  # somebody else was faster
                continue
            made = cls(place / str(number))
            _write(made.path / "job.json", job)
            return made

    @property
    def id(self) -> str:
        """Return its id."""
        return self.path.name

    @property
    def job(self) -> ShellJob | None:
        """Return what was submitted, None if that was not written to its end."""
        return _read(self.path / "job.json", ShellJob)

    @property
    def started(self) -> Started | None:
        """Return when its turn came."""
        return _read(self.path / "started.json", Started)

    @property
    def ended(self) -> JobEnded | None:
        """Return how it ended, as its supervisor recorded it."""
        return _read(self.path / "ended.json", JobEnded)

    @property
    def supervisor(self) -> Supervisor | None:
        """Return the process that runs it."""
        return _read(self.path / "supervisor.json", Supervisor)

    @property
    def is_cancelled(self) -> bool:
        """True if somebody has cancelled it."""
        return (self.path / "cancel").exists()

    def cancel(self) -> None:
        """Have its supervisor end it."""
        (self.path / "cancel").touch()

    def supervised_by(self, pid: int) -> None:
        """Record the process that runs it."""
        start = start_time(pid)
        if start is not None:
            _write(self.path / "supervisor.json", Supervisor(boot=machine(), pid=pid, start=start))

    def starts(self) -> None:
        """Record that its turn has come."""
        _write(self.path / "started.json", Started(at=time.time()))

    def ends(self, state: str) -> None:
        """Record its end."""
        _write(self.path / "ended.json", JobEnded(state=state, seconds=self._seconds()))

    def state(self) -> tuple[str, float]:
        """Return its state and the seconds that it has run."""
        if (ended := self.ended) is not None:
            return ended.state, ended.seconds
        supervisor = self.supervisor
        if supervisor is None or not supervisor.lives:
            ended = self.ended  # written between the two looks
            return ("KILLED", self._seconds()) if ended is None else (ended.state, ended.seconds)
        return (PENDING if self.started is None else RUNNING), self._seconds()

    def _seconds(self) -> float:
        started = self.started
        return max(0.0, time.time() - started.at) if started is not None else 0.0


def ids() -> list[str]:
    """Return the ids of all jobs, in the order in which they were submitted."""
    place = spool()
    found = [entry.name for entry in place.iterdir() if re.fullmatch(r"\d+", entry.name)] if place.exists() else []
    return sorted(found, key=int)


def _read(file: Path, kind: type[T]) -> T | None:
    try:
        return kind(**json.loads(file.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):  # not there, or not what this module writes
        return None


def _write(file: Path, content: ShellJob | Supervisor | Started | JobEnded) -> None:
    write_whole(file, json.dumps(asdict(content), indent=2) + "\n")
