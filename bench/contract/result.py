"""What became of a run, and the words of its ranks and jobs that tell it."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from bench.contract.base import Document
from bench.contract.measured import Measured
from bench.contract.outcomes import Outcome


class RankEnd(Document):
    """A rank's own account of its end, written last of all."""

    rank: NonNegativeInt
    completed: bool
    phase: str = Field(description="the phase it was in")
    step: int = Field(description="optimizer steps finished; -1 before the first")
    error: str | None = None
    out_of_memory: bool = False


class Heartbeat(Document):
    """Rank 0's sign of life; the file's age tells a hang from work."""

    phase: str
    step: int
    steps: int


class Allocation(Document):
    """Where a scheduler put a run."""

    job: str = Field(description="id of the job")
    hosts: list[str] = Field(description="hosts of the allocation, in node order; a run has the first of them")
    switches: dict[str, str] = Field(description="lowest switch over each host, where the scheduler knows it")


class JobEnd(Document):
    """What became of a batch job."""

    id: str
    state: str = Field(description="one of matrix.schedulers.states.ENDS")
    said: str = Field(description="what that means, for people, with the last line of the job's log where it failed")
    seconds: NonNegativeFloat = Field(description="wall time of the allocation")
    nodes: PositiveInt

    @property
    def node_hours(self) -> float:
        """What it cost."""
        return self.nodes * self.seconds / 3600


class Result(Document):
    """What became of a run. `measured` is there when the window was measured to its end, whatever came after it."""

    version: Literal[1] = 1
    run: str
    attempt: NonNegativeInt
    outcome: Outcome
    reason: str = Field(description="the sentence that gave the run its outcome; empty when it completed")
    evidence: list[str] = Field(default_factory=list, description="lines of logs and exit statuses behind the reason")
    started: str = Field(description="ISO 8601, UTC")
    seconds: NonNegativeFloat = Field(description="wall time of the attempt, as the runner saw it")
    allocation: Allocation | None = Field(None, description="where a scheduler put it")
    lost_to: str | None = Field(
        None, description="state of the job that ended while this attempt was under way, where that may be its doing"
    )
    session: str | None = Field(
        None, description="one allocation, or one local call of `run`: only its runs share machines and drift"
    )
    job_end: str | None = Field(
        None, description="state in which the attempt's job ended, if it ended while the attempt was under way"
    )
    measured: Measured | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.outcome is Outcome.COMPLETED and self.measured is None:
            raise ValueError("a completed run has measured figures")
        return self
