"""The state of a sweep, as a document."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bench.contract.base import Document
from bench.contract.results.outcomes import Outcome


class UnfinishedRun(Document):
    """A run that ended without completing."""

    run: str = Field(description="id of the run")
    outcome: Outcome = Field(description="how it ended")
    reason: str = Field(description="why it ended so")


class ActiveRun(Document):
    """A run that ranks are executing."""

    run: str = Field(description="id of the run")
    phase: str = Field(description="phase of rank 0")
    step: int = Field(description="optimizer steps finished")
    steps: int = Field(description="optimizer steps in all")
    tokens_per_s: float | None = Field(description="recent rate, with pauses and padding; null until known")
    loss: float | None = Field(description="mean of rank 0's micro-batches in a recent step; null until known")


class ActiveRunner(Document):
    """The process that is running a sweep."""

    pid: int = Field(description="process id")
    host: str = Field(description="host of the process")
    since: str = Field(description="when it began, ISO 8601 in UTC")


class JobState(Document):
    """A batch job of the sweep."""

    job: str | None = Field(description="id of the job, null if `run` has not submitted it")
    nodes: int = Field(description="nodes of the job")
    runs: int = Field(description="runs of the job")
    done: int = Field(description="runs whose final outcome is from this job")
    state: str = Field(description="its state, for people")
    end: str | None = Field(
        None, description="the state that it ended in: of Slurm, or KILLED or GONE; null while it may run"
    )
    log: str | None = Field(None, description="file with its output, null without one")
    is_live: bool = Field(description="whether it waits or runs, or may do so where the scheduler does not answer")
    is_running: bool = Field(description="whether it has its nodes")


class LeftRuns(Document):
    """Runs that no job and no process will make until `run` is called again, by the end of their last job."""

    failed: int = Field(0, description="runs whose last job failed; the exit status is 1")
    cancelled: int = Field(0, description="runs whose last job was cancelled")
    completed: int = Field(0, description="runs that their last job had no time for")


class StatusDocument(Document):
    """The state of a sweep, as `status --json` prints it."""

    version: Literal[1] = Field(1, description="version of this document")
    sweep: str = Field(description="name of the sweep")
    folder: str = Field(description="folder of the sweep")
    runs: int = Field(description="runs of the plan")
    outcomes: dict[Outcome, int] = Field(description="number of runs by outcome")
    not_run: int = Field(description="runs without a result")
    unfinished: list[UnfinishedRun] = Field(description="runs that ended without completing, in the plan's order")
    newer: dict[str, str] = Field(description="runs whose result a newer xffl-bench wrote, with the reason")
    jobs: list[JobState] = Field(description="batch jobs")
    left: LeftRuns = Field(LeftRuns(), description="runs that ended jobs left, and that nothing will make")
    no_answer: str = Field(description="why the scheduler could not be asked, empty if it answered or was not needed")
    runner: ActiveRunner | None = Field(description="process that is running the sweep, null without one")
    active: list[ActiveRun] = Field(description="runs under way, of that process and of running jobs")
    remaining_s: float | None = Field(
        description="seconds that the rest of the plan may take if each run takes as long as completed ones; null with "
        "jobs, without a process or without a completed run"
    )

    @property
    def has_failures(self) -> bool:
        """True if a run has a final outcome other than `completed`, or none because its job failed."""
        return self.left.failed > 0 or any(run.outcome.is_final for run in self.unfinished)

    @property
    def is_over(self) -> bool:
        """True if nothing more will happen: no process runs the sweep, and no job is waiting or running."""
        return self.runner is None and not any(job.is_live for job in self.jobs)
