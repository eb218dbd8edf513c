"""Slurm's job states (slurm.schedmd.com/squeue.html, "job state codes"), and what they mean for runs."""

from __future__ import annotations

import re
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
    "FAILED": Meaning("its own process failed", counts=False),
    "KILLED": Meaning("its own process was killed, or never began", counts=True),
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
"""States that a job does not come back from, by itself. KILLED and GONE are ours: Slurm calls the first FAILED, too,
but a process that ended by itself had a reason of its own (a full disk, say), and what killed another may be the run's
doing.
"""


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


def failed(reason: str) -> str:
    """Of a job that FAILED for a reason, as squeue words it: whether it ended by itself, or was KILLED."""
    return "FAILED" if reason == "NonZeroExitCode" else "KILLED"


_WORDS = re.compile(r"\*\*\* JOB \d+ ON \S+ CANCELLED AT \S+(?: DUE TO (.+?))?(?:,| \*\*\*)")
_WHY = {
    "NODE FAILURE": "NODE_FAIL",
    "PREEMPTION": "PREEMPTED",
    "TIME LIMIT": "TIMEOUT",
    "JOB REQUEUE": "REQUEUED",
    "": "CANCELLED",
}


def in_log(text: str) -> str | None:
    """Why Slurm's daemon on a job's first node ended it, as it wrote into the job's log (`*** JOB 7 ON node0 CANCELLED
    AT 2026-11-25T03:00:00 DUE TO TIME LIMIT ***`); the last time counts. None where it did not, or for another reason.
    """
    reasons = _WORDS.findall(text)
    return _WHY.get(reasons[-1]) if reasons else None


def meaning(state: str) -> Meaning | None:
    """What the end of a job means, None for a job that has not ended."""
    return ENDS.get(state)


def will_not_start(reason: str) -> bool:
    """Whether a job that waits for this reason waits for somebody to do something."""
    return reason.startswith(NEVER)
