"""What Slurm writes of jobs: why they wait, why they failed, and how they ended."""

from __future__ import annotations

import re

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
"""Reasons for waiting that do not pass by themselves (slurm.schedmd.com/squeue.html, "job reason codes")."""


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


def will_not_start(reason: str) -> bool:
    """Whether a job that waits for this reason waits for somebody to do something."""
    return reason.startswith(NEVER)


_OUT_OF_MEMORY = re.compile(r"oom[-_]kill event|: Out Of Memory$")


def out_of_memory_line(text: str) -> str:
    """Return the line by which Slurm says that a node's control group ran out of memory, else an empty text.

    Its daemon writes `oom_kill event` (22.05: `oom-kill event(s)`) into the node's log, srun `Out Of Memory` into its
    own.
    """
    return next((line for line in text.splitlines() if _OUT_OF_MEMORY.search(line)), "")
