"""Slurm's texts about jobs: reasons for waiting, reasons for failure, and messages in logs."""

from __future__ import annotations

import re

_NEVER = re.compile(
    # The request itself, the account or the partition is the obstacle.
    r"AccountNotAllowed|BadConstraints|DeadLine|DependencyNeverSatisfied|InvalidAccount|InvalidQOS|QOSNotAllowed"
    r"|PartitionConfig|PartitionDown|PartitionInactive|PartitionNodeLimit|PartitionTimeLimit|ReservationDeleted"
    # Limits of a single job, which it exceeds whatever other jobs do.
    r"|(Assoc|QOS)Max\w*Per(Job|Node)\w*|MaxMemPerLimit|QOSMin\w+"
    # Budgets of past, present and future jobs; those of running jobs (RunMinutes) recover.
    r"|(Assoc|QOS)Grp\w*(?<!Run)Minutes(Limit)?|(Assoc|QOS)GrpWall(Limit)?"
    # Somebody must release it.
    r"|JobHeldAdmin|JobHeldUser|JobHoldMaxRequeue|launch failed requeued held|job requeued in held state"
    # Nodes are down; reserved ones (other texts after ReqNodeNotAvail) become free.
    r"|ReqNodeNotAvail, ?UnavailableNodes:\S+(,.*)?"
)
"""Reasons for waiting that do not resolve without intervention (slurm.schedmd.com/job_reason_codes.html; the texts of
requeued jobs and of nodes are those that slurmctld writes into a job's state description).
"""


def failed(reason: str) -> str:
    """Return the state of a job that squeue lists as FAILED: FAILED if it exited, KILLED otherwise."""
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
    """Return the state named by slurmstepd's last message in a job's log, None without a known one.

    For example `*** JOB 7 ON node0 CANCELLED AT 2026-11-25T03:00:00 DUE TO TIME LIMIT ***`.
    """
    reasons = _WORDS.findall(text)
    return _WHY.get(reasons[-1]) if reasons else None


def will_not_start(reason: str) -> bool:
    """Return True if a job that waits for this reason will not start by itself."""
    return _NEVER.fullmatch(reason.strip()) is not None


_OUT_OF_MEMORY = re.compile(r"oom[-_]kill event|: Out Of Memory$")


def out_of_memory_line(text: str) -> str:
    """Return the line in which Slurm reports that a node's cgroup ran out of memory, else "".

    slurmstepd writes `oom_kill event` (22.05: `oom-kill event(s)`) to the node's log, srun `Out Of Memory` to its own.
    """
    return next((line for line in text.splitlines() if _OUT_OF_MEMORY.search(line)), "")
