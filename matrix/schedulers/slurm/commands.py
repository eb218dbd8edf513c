"""Calls of Slurm's commands and parsing of their output."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from matrix.errors import NoAnswerError, SchedulerError
from matrix.host.calls import call, complaint
from matrix.schedulers.base import JobStatus
from matrix.schedulers.slurm.states import failed

LIMIT = 60.0
"""Seconds to wait for an answer; a busy controller can be slow."""


def submit(script: Path) -> str:
    """Submit a script with sbatch and return the job's id.

    Raises:
        NoAnswerError: the job may be in the queue now or later.
        SchedulerError: the job was refused.

    """
    return _output(["sbatch", "--parsable", str(script)]).partition(";")[0].strip()


def look(ids: Sequence[str]) -> dict[str, JobStatus]:
    """Return the status of jobs by id, without jobs that Slurm has forgotten.

    Raises:
        SchedulerError: Slurm does not answer.

    """
    wanted = set(ids)
    if not wanted:
        return {}
    found = {}
    for line in _output(["squeue", *_OF_MINE, "-o", "%i|%T|%M|%N|%r"]).splitlines():
        job, state, elapsed, nodes, reason = line.split("|", 4)
        if job in wanted:
            state = failed(reason) if state == "FAILED" else state
            found[job] = JobStatus(state, reason, _seconds(elapsed), nodes)
    missing = wanted - found.keys()
    return found | (_accounted(sorted(missing)) if missing else {})


def named(name: str) -> list[str]:
    """Return the ids of this user's jobs with a name, in any state.

    Raises:
        SchedulerError: Slurm does not answer.

    """
    return _output(["squeue", *_OF_MINE, "--name", name, "-o", "%i"]).split()


def cancel(ids: Sequence[str]) -> None:
    """Cancel jobs; jobs that have already ended are ignored.

    Raises:
        SchedulerError: Slurm does not answer.

    """
    if ids:
        _output(["scancel", *ids])


def host_names(nodes: str) -> list[str]:
    """Expand a host list: `node[0-1]` to `node0`, `node1`.

    Raises:
        SchedulerError: Slurm does not answer.

    """
    return _output(["scontrol", "show", "hostnames", nodes]).split()


def end_time(job: str) -> str:
    """Return the end time of a job in Slurm's format.

    Raises:
        SchedulerError: Slurm does not answer.

    """
    return _output(["squeue", "-h", "-j", job, "-o", "%e"]).strip()


def version() -> str:
    """Return the version that sbatch prints.

    Raises:
        SchedulerError: sbatch failed.

    """
    return _output(["sbatch", "--version"]).strip()


def partition_nodes(name: str | None) -> int:
    """Return the number of nodes of a partition, or of all partitions.

    Raises:
        SchedulerError: Slurm does not answer, or has no such partition.

    """
    said = _output(["sinfo", "-h", *(["-p", name] if name else []), "-o", "%D"]).split()
    return int(said[-1]) if said and said[-1].isdigit() else 0


def switches(hosts: Sequence[str]) -> dict[str, str]:
    """Return the lowest switch of each host, empty if Slurm has no topology."""
    try:
        said = _output(["scontrol", "show", "topology"])
    except SchedulerError:  # no topology is configured
        return {}
    found: dict[str, str] = {}
    for line in said.splitlines():
        if match := re.match(r"SwitchName=(\S+) Level=0 .*Nodes=(\S+)", line.strip()):
            found |= dict.fromkeys(host_names(match[2]), match[1])
    return {host: found[host] for host in hosts if host in found}


_OF_MINE = ("-h", "-t", "all", "-u", str(os.getuid()))  # numeric: in an image, for example, a user may have no name


def _accounted(ids: Sequence[str]) -> dict[str, JobStatus]:
    """Return the status of jobs from accounting, if there is any: squeue forgets jobs minutes after their end."""
    if shutil.which("sacct") is None:
        return {}
    fields = "JobIDRaw,State,ElapsedRaw,NodeList,ExitCode"
    try:
        lines = _output(["sacct", "-n", "-P", "-X", "-j", ",".join(ids), "-o", fields])
    except SchedulerError:  # accounting is disabled
        return {}
    found = {}
    for line in lines.splitlines():
        job, state, elapsed, nodes, code = line.split("|")
        state = state.split()[0]  # CANCELLED by 1000
        if state == "FAILED" and not code.endswith(":0"):  # status:signal
            state = "KILLED"
        found[job] = JobStatus(state, "", float(elapsed or 0), nodes)
    return found


def _seconds(elapsed: str) -> float:
    """Convert `1-02:03:04`, `02:03:04` or `03:04` to seconds."""
    days, _, rest = elapsed.rpartition("-")
    total = 0
    for part in rest.split(":"):
        if not part.isdigit():  # INVALID, if clocks differ
            return 0.0
        total = total * 60 + int(part)
    return float(total + 86_400 * int(days or 0))


_SHAPING = re.compile(r"(SQUEUE|SACCT|SINFO)_\w+")
"""Variables that format or filter listings; a job hidden by such a filter would look forgotten."""


def _output(command: list[str]) -> str:
    own = {name: value for name, value in os.environ.items() if not _SHAPING.fullmatch(name)}
    try:
        done = call(command, limit=LIMIT, environment={**own, "SLURM_TIME_FORMAT": "standard"})
    except OSError as error:
        raise SchedulerError(f"{command[0]}: {error.strerror}") from error
    except subprocess.TimeoutExpired:
        raise NoAnswerError(f"{command[0]}: no answer within {LIMIT:g} s") from None
    if done.returncode != 0:
        said = complaint(done)
        raise NoAnswerError(said) if re.search(r"timed out|Unable to contact", said) else SchedulerError(said)
    return done.stdout
