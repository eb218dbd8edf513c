"""The result of a run, and the documents of ranks and jobs that it is judged by."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, NonNegativeFloat, model_validator

from bench.contract.base import Document, NonNegativeInt, PositiveInt
from bench.contract.results.measured import Measured
from bench.contract.results.outcomes import Caution, Outcome


class RankEnd(Document):
    """How a rank ended; the last file that the rank writes."""

    rank: NonNegativeInt
    completed: bool
    phase: str = Field(description="phase of the rank when it ended")
    step: int = Field(description="optimizer steps finished; -1 before the first")
    error: str | None = None
    out_of_memory: bool = False
    port_taken: bool = Field(False, description="another program had the port of the rendezvous")


class Heartbeat(Document):
    """Progress of rank 0; the age of the file tells a hang from progress."""

    phase: str
    step: int = Field(description="index of the last finished optimizer step; -1 before the first")
    steps: int = Field(description="optimizer steps in all")
    tokens_per_s: float | None = Field(None, description="recent rate, with pauses and padding; null until known")
    loss: float | None = Field(None, description="mean of rank 0's micro-batches in a recent step; null until known")


class Allocation(Document):
    """Nodes that a scheduler granted to a job."""

    job: str = Field(description="id of the job")
    hosts: list[str] = Field(description="hosts in node order; a run uses the first ones")
    switches: dict[str, str] = Field(description="lowest switch of each host, if the scheduler reports it")


class AttemptStart(Document):
    """Where and when an attempt started. Written before it starts, so that it is known however the attempt ends."""

    started: str = Field(description="ISO 8601, UTC")
    session: str = Field(
        description="one allocation, or one local call of `run`: only its runs share machines and drift"
    )
    position: PositiveInt = Field(description="place among the attempts of its session, from 1")
    allocation: Allocation | None = Field(None, description="nodes that a scheduler granted")
    slow_hosts: list[str] = Field(
        default_factory=list, description="what the preflight found slow among its hosts, one sentence each"
    )


COMPLETED, CANCELLED = "COMPLETED", "CANCELLED"
"""States in which a batch job ends without having failed; a user or an administrator cancels it."""


def is_failure(state: str) -> bool:
    """Return True if a batch job that ended in this state failed."""
    return state not in (COMPLETED, CANCELLED)


class JobEnd(Document):
    """How a batch job ended."""

    id: str
    state: str = Field(description="one of matrix.schedulers.states.ENDS")
    said: str = Field(description="explanation for people, with the last line of the job's log if it failed")
    seconds: NonNegativeFloat = Field(description="wall time of the allocation")
    nodes: PositiveInt

    @property
    def node_hours(self) -> float:
        """Cost of the job."""
        return self.nodes * self.seconds / 3600


class Result(Document):
    """Outcome and figures of a run. `measured` is set once the window was measured in full, however the run ended."""

    version: Literal[1] = 1
    run: str
    attempt: NonNegativeInt
    outcome: Outcome
    reason: str = Field(description="why the run got this outcome; empty if it completed")
    evidence: list[str] = Field(
        default_factory=list, description="lines of logs and exit statuses that support the reason"
    )
    started: str = Field(description="ISO 8601, UTC")
    seconds: NonNegativeFloat = Field(description="wall time of the attempt, measured by the runner")
    allocation: Allocation | None = Field(None, description="nodes that a scheduler granted")
    lost_to: str | None = Field(
        None, description="state of the job that ended during this attempt, if the run may have caused that"
    )
    session: str | None = Field(
        None, description="one allocation, or one local call of `run`: only its runs share machines and drift"
    )
    position: PositiveInt | None = Field(None, description="place among the attempts of its session, from 1")
    job_end: str | None = Field(
        None, description="state in which the attempt's job ended, if it ended during the attempt"
    )
    slow_hosts: list[str] = Field(
        default_factory=list, description="what the preflight found slow among its hosts, one sentence each"
    )
    claim: str | None = Field(
        None, description="file of the runner that wrote this, in the sweep's folder; None in older results"
    )
    measured: Measured | None = None

    @property
    def ran_in(self) -> str | None:
        """The session; of results of version 0.1.0, which name none, the batch job, and None without one."""
        return self.session or (self.allocation.job if self.allocation else None)

    @property
    def cautions(self) -> list[Caution]:
        """Cautions of the ranks, and those that only the runner knows."""
        of_ranks = self.measured.cautions if self.measured is not None else []
        return [*of_ranks, *([Caution.SLOW_HOST] if self.slow_hosts else [])]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.outcome is Outcome.COMPLETED and self.measured is None:
            raise ValueError("outcome: a completed run should have measured figures")
        return self
