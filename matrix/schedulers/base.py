"""The interface of batch schedulers. `matrix/batch` decides what to submit; implementations run the commands."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from bench.contract.results.result import Allocation
from matrix.config.system import SystemFile


@dataclass(frozen=True)
class JobStatus:
    """Status of a job in the scheduler.

    Attributes:
        state: a key of `matrix.schedulers.states.ENDS`; any other name means that the job has not ended.
        reason: why the job waits or ended.
        seconds: wall time so far.
        nodes: host list in the scheduler's notation, for instance `node[0-3]`.

    """

    state: str
    reason: str
    seconds: float
    nodes: str


@dataclass(frozen=True)
class HeldAllocation:
    """The allocation of the calling process.

    Attributes:
        allocation: job, hosts and switches.
        ends: end in seconds since 1970; infinite without a time limit.

    """

    allocation: Allocation
    ends: float

    @property
    def left(self) -> float:
        """Seconds until the end."""
        return self.ends - time.time()


@dataclass(frozen=True)
class JobRequest:
    """Resources and options that a job requests.

    Attributes:
        name: name of the job; it finds a job whose id was lost.
        nodes: number of nodes, each with the resources of its ranks; None for a small job without ranks.
        minutes: time limit in minutes.
        log: file for the job's output; `%j` stands for the job's id.
        after: ids of jobs that must end first.

    """

    name: str
    nodes: int | None
    minutes: int
    log: Path
    after: Sequence[str] = ()


@dataclass(frozen=True)
class Finding:
    """One line of `xffl-bench check` about a scheduler, with the remedy if something is missing."""

    name: str
    found: str
    is_there: bool
    remedy: str = ""


class Scheduler(Protocol):
    """A batch scheduler. Methods that call it raise SchedulerError if it does not answer."""

    @property
    def title(self) -> str:
        """Name of the scheduler for people."""

    @property
    def submits_by(self) -> str:
        """Command that submits a script by hand."""

    @property
    def agents(self) -> Literal["srun", "here"]:
        """How agents are started on the nodes of an allocation: as steps of srun, or as processes on this machine."""

    def submit(self, script: Path) -> str:
        """Submit a script and return the job's id.

        Raises:
            NoAnswerError: the job may be in the queue now or later.
            SchedulerError: the job was refused.

        """

    def look(self, ids: Sequence[str]) -> dict[str, JobStatus]:
        """Return the status of jobs by id, without jobs that the scheduler has forgotten."""

    def named(self, name: str) -> list[str]:
        """Return the ids of this user's jobs with a name, in any state, newest last."""

    def cancel(self, ids: Sequence[str]) -> None:
        """Cancel jobs; jobs that have already ended are ignored."""

    def held(self, environment: Mapping[str, str]) -> HeldAllocation | None:
        """Return the allocation of a process with this environment, None if it is in none."""

    def ignored(self, environment: Mapping[str, str]) -> list[str]:
        """Return the caller's variables that would decide over a submission in place of the system file."""

    def restarts(self, environment: Mapping[str, str]) -> int:
        """Return how often the scheduler has restarted the caller's job."""

    def header(self, request: JobRequest, system: SystemFile) -> list[str]:
        """Return the first lines of a job's script: the scheduler's options."""

    def variables(self) -> list[str]:
        """Return shell lines that export XFFL_BENCH_JOB and XFFL_BENCH_RESTARTS and unset what interferes."""

    def end_in_log(self, text: str) -> str | None:
        """Return the state named by the scheduler's own message in a job's log, None without such a message."""

    def will_not_start(self, reason: str) -> bool:
        """Return True if a job that waits for this reason will not start without intervention."""

    def check(self, system: SystemFile) -> Iterator[Finding]:
        """Yield whether the commands are installed and the resources of the system file exist."""
