"""What a batch scheduler does for xffl-bench: the seam between the policy in `matrix/batch` and its commands."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from bench.contract.result import Allocation
from matrix.config.system import SystemFile


class SchedulerError(RuntimeError):
    """A command of the scheduler failed; the message is what it printed."""


class NoAnswerError(SchedulerError):
    """The scheduler did not say whether it did what it was asked for."""


@dataclass(frozen=True)
class JobStatus:
    """What a scheduler knows of a job.

    Attributes:
        state: as `matrix.schedulers.states` names it, or any other name while the job has not ended.
        reason: why it waits, or why it ended.
        seconds: wall time so far.
        nodes: as the scheduler writes them, for instance `node[0-3]`.

    """

    state: str
    reason: str
    seconds: float
    nodes: str


@dataclass(frozen=True)
class HeldAllocation:
    """The allocation that the calling process is in.

    Attributes:
        allocation: its job, hosts and switches.
        ends: when it ends, in seconds since 1970; infinite if it has no limit.

    """

    allocation: Allocation
    ends: float

    @property
    def left(self) -> float:
        """Seconds until its end."""
        return self.ends - time.time()


@dataclass(frozen=True)
class JobRequest:
    """What a job's script asks the scheduler for.

    Attributes:
        name: by which the job is found again if its id was lost.
        nodes: whole nodes, each with the resources of the system's ranks; None for a small job without ranks.
        minutes: time limit.
        log: file of the job's output; `%j` stands for the job's id.
        after: ids of jobs that have to end first.

    """

    name: str
    nodes: int | None
    minutes: int
    log: Path
    after: Sequence[str] = ()


@dataclass(frozen=True)
class Finding:
    """One line of `xffl-bench check` on a scheduler: what there is, and the remedy if something is missing."""

    name: str
    found: str
    is_there: bool
    remedy: str = ""


class Scheduler(Protocol):
    """A batch scheduler. Every method that asks it for something raises SchedulerError if it does not answer."""

    @property
    def title(self) -> str:
        """Its name for people."""

    @property
    def submits_by(self) -> str:
        """The command that submits a script by hand."""

    @property
    def agents(self) -> Literal["srun", "here"]:
        """How agents reach the nodes of an allocation: as steps of srun, or as processes of this machine."""

    def submit(self, script: Path) -> str:
        """Submit a script and return the job's id.

        Raises:
            NoAnswerError: the job may be in the queue, or get there.
            SchedulerError: it was refused.

        """

    def look(self, ids: Sequence[str]) -> dict[str, JobStatus]:
        """Return the status of jobs by id; jobs that the scheduler has forgotten are missing."""

    def named(self, name: str) -> list[str]:
        """Return the ids of this user's jobs of a name, whatever their state, the newest last."""

    def cancel(self, ids: Sequence[str]) -> None:
        """Cancel jobs; one that has ended already is no fault."""

    def held(self, environment: Mapping[str, str]) -> HeldAllocation | None:
        """Return the allocation that a process with these variables is in, None if it is in none."""

    def restarts(self, environment: Mapping[str, str]) -> int:
        """Return how often the scheduler has started the caller's job again."""

    def header(self, request: JobRequest, system: SystemFile) -> list[str]:
        """Return the first lines of a job's script, which tell the scheduler what it asks for."""

    def variables(self) -> list[str]:
        """Return lines of shell for a job's script: XFFL_BENCH_JOB and XFFL_BENCH_RESTARTS, and what must be unset."""

    def end_in_log(self, text: str) -> str | None:
        """Return the state that the scheduler's own message in a job's log names, None without such a message."""

    def will_not_start(self, reason: str) -> bool:
        """Return True if a job that waits for this reason waits until somebody does something."""

    def check(self, system: SystemFile) -> Iterator[Finding]:
        """Look whether its commands are there and it has what the system file says."""
