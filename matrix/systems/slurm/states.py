"""Slurm's job states (slurm.schedmd.com/squeue.html, "job state codes"), and what they mean for runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Meaning:
    """What a job's end means.

    Attributes:
        said: for people.
        counts: whether it may be the doing of the run that was under way, which is given up the second time.
        again: whether what the job left undone belongs into another job.

    """

    said: str
    counts: bool
    again: bool = True


ENDS: dict[str, Meaning] = {
    "COMPLETED": Meaning("it came to its end", counts=False),
    "FAILED": Meaning("its own process failed", counts=True),
    "TIMEOUT": Meaning("its time limit", counts=True),
    "OUT_OF_MEMORY": Meaning("Slurm ended it for want of host memory", counts=True),
    "NODE_FAIL": Meaning("a node failed", counts=True),
    "BOOT_FAIL": Meaning("a node did not boot", counts=False),
    "PREEMPTED": Meaning("a job of higher priority took its nodes", counts=False),
    "DEADLINE": Meaning("its deadline", counts=False),
    "REVOKED": Meaning("another cluster took it", counts=False),
    "CANCELLED": Meaning("somebody cancelled it", counts=False, again=False),
    "GONE": Meaning("Slurm no longer knows it", counts=True),
}
"""States that a job does not come back from, by itself; GONE is ours."""

NEVER = (
    "AccountNotAllowed",
    "AssocGrpNodeLimit",
    "BadConstraints",
    "DependencyNeverSatisfied",
    "InvalidAccount",
    "InvalidQOS",
    "JobHeldAdmin",
    "JobHeldUser",
    "PartitionDown",
    "PartitionInactive",
    "PartitionNodeLimit",
    "PartitionTimeLimit",
    "QOSMaxNodePerJobLimit",
    "QOSMaxWallDurationPerJobLimit",
    "ReqNodeNotAvail",
)
"""Reasons for waiting that do not pass by themselves (the same page, "job reason codes")."""


def meaning(state: str) -> Meaning | None:
    """What the end of a job means, None for a job that has not ended."""
    return ENDS.get(state)


def will_not_start(reason: str) -> bool:
    """Whether a job that waits for this reason waits for somebody to do something."""
    return reason.startswith(NEVER)
