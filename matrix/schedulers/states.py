"""States that a batch job ends in, and what each means for the runs that were in it.

The names are Slurm's (slurm.schedmd.com/squeue.html, "job state codes"), since batch users know them; every scheduler
translates its own into these. KILLED and GONE are ours: a process that ended by itself had a reason of its own (a full
disk, say), and what killed another may be the run's doing.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Meaning:
    """What a job's end means.

    Attributes:
        said: for people.
        counts: True if the run that was under way may have caused it; the second time that run is given up.
        again: True if runs that the job left undone belong into another job.

    """

    said: str
    counts: bool
    again: bool = True


ENDS: dict[str, Meaning] = {
    "COMPLETED": Meaning("it came to its end", counts=False),
    "FAILED": Meaning("its own process failed", counts=False),
    "KILLED": Meaning("its own process was killed, or never began", counts=True),
    "TIMEOUT": Meaning("its time limit", counts=True),
    "OUT_OF_MEMORY": Meaning("the scheduler ended it for lack of host memory", counts=True),
    "NODE_FAIL": Meaning("a node failed", counts=True),
    "BOOT_FAIL": Meaning("a node did not boot", counts=False),
    "PREEMPTED": Meaning("a job of higher priority took its nodes", counts=False),
    "DEADLINE": Meaning("its deadline", counts=False),
    "REVOKED": Meaning("another cluster took it", counts=False),
    "CANCELLED": Meaning("somebody cancelled it", counts=False, again=False),
    "GONE": Meaning("the scheduler no longer knows it", counts=True),
}
"""States that a job does not leave by itself. Any other state means that the job may still run."""

PENDING = "PENDING"
RUNNING = "RUNNING"


def meaning(state: str) -> Meaning | None:
    """Return what the end of a job means, None for a job that has not ended."""
    return ENDS.get(state)
