"""Final states of a batch job, and what each means for its runs.

The names are Slurm's (slurm.schedmd.com/squeue.html, "job state codes"), which batch users know; every scheduler
translates its own states into them. KILLED and GONE are added here. FAILED and KILLED differ in the cause: a process
that exits has its own reason (a full disk, for example), while the run may have caused a kill.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Meaning:
    """Meaning of a final state.

    Attributes:
        said: explanation for people.
        counts: True if the active run may have caused it; after the second such job that run is not retried.
        again: True if the job's unfinished runs are submitted again.

    """

    said: str
    counts: bool
    again: bool = True


ENDS: dict[str, Meaning] = {
    "COMPLETED": Meaning("finished", counts=False),
    "FAILED": Meaning("the job's process failed", counts=False),
    "KILLED": Meaning("the job's process was killed, or never started", counts=True),
    "TIMEOUT": Meaning("time limit reached", counts=True),
    "OUT_OF_MEMORY": Meaning("out of host memory", counts=True),
    "NODE_FAIL": Meaning("a node failed", counts=True),
    "BOOT_FAIL": Meaning("a node did not boot", counts=False),
    "PREEMPTED": Meaning("preempted by another job", counts=False),
    "DEADLINE": Meaning("deadline reached", counts=False),
    "REVOKED": Meaning("moved to another cluster", counts=False),
    "CANCELLED": Meaning("cancelled by a user or an administrator", counts=False, again=False),
    "GONE": Meaning("unknown to the scheduler", counts=True),
}
"""Final states. In any other state the job may still run."""

PENDING = "PENDING"
RUNNING = "RUNNING"


def meaning(state: str) -> Meaning | None:
    """Return the meaning of a state, None if the job has not ended."""
    return ENDS.get(state)
