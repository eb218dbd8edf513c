"""Calls of Slurm's commands and parsing of their output.

The id of a job on another cluster than the default one is `number;cluster`, as sbatch prints it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
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
    said = _output(["sbatch", "--parsable", str(script)])
    # Sites wrap sbatch and print a banner first; `--parsable` adds `;CLUSTER` to the id of a job on another cluster.
    ids = re.findall(r"^(\d+(?:;[\w.-]+)?)\s*$", said, re.MULTILINE)
    if not ids:
        raise NoAnswerError(f"sbatch printed no job id: {_shown(said)}")
    return str(ids[-1])


def look(ids: Sequence[str]) -> dict[str, JobStatus]:
    """Return the status of jobs by id, without jobs that Slurm has forgotten.

    Raises:
        SchedulerError: Slurm does not answer.

    """
    found: dict[str, JobStatus] = {}
    for cluster, numbers in _by_cluster(ids).items():
        found |= {job_id(number, cluster): status for number, status in _on(cluster, set(numbers)).items()}
    return found


def _on(cluster: str, wanted: set[str]) -> dict[str, JobStatus]:
    """Return the status of jobs of a cluster by number, without jobs that it has forgotten."""
    found = {}
    listed, strange = _rows(["squeue", *_asked_of(cluster), *_OF_MINE, "-o", "%i|%T|%M|%N|%r"], _QUEUED)
    for job, state, elapsed, nodes, reason in listed:
        if job in wanted:
            found[job] = JobStatus(failed(reason) if state == "FAILED" else state, reason, _seconds(elapsed), nodes)
    missing = wanted - found.keys()
    if missing and strange:  # they may be among what cannot be read, and would be submitted again
        raise SchedulerError(f"squeue printed something else than jobs: {_shown(strange)}")
    return found | (_accounted(sorted(missing), cluster) if missing else {})


def named(name: str, cluster: str = "") -> list[str]:
    """Return the ids of this user's jobs with a name on a cluster, in any state.

    Raises:
        SchedulerError: Slurm does not answer.

    """
    said = _output(["squeue", *_asked_of(cluster), *_OF_MINE, "--name", name, "-o", "%i"])
    return [job_id(number, cluster) for number in re.findall(r"^(\d+)\s*$", said, re.MULTILINE)]


def cancel(ids: Sequence[str]) -> None:
    """Cancel jobs; jobs that have already ended are ignored.

    Raises:
        SchedulerError: Slurm does not answer.

    """
    for cluster, numbers in _by_cluster(ids).items():
        _output(["scancel", *_asked_of(cluster), *numbers])


def host_names(nodes: str) -> list[str]:
    """Expand a host list: `node[0-1]` to `node0`, `node1`.

    Raises:
        SchedulerError: Slurm does not answer.

    """
    said = _output(["scontrol", "show", "hostnames", nodes])
    return re.findall(r"^([A-Za-z0-9][\w.-]*)\s*$", said, re.MULTILINE)


def end_time(job: str) -> str | None:
    """Return the end time of a job in Slurm's format, None if the job has ended or does not exist.

    Raises:
        SchedulerError: Slurm does not answer.

    """
    number, _, cluster = job.partition(";")
    try:
        said = _output(["squeue", *_asked_of(cluster), "-h", "-t", ",".join(_HELD), "-j", number, "-o", "%i|%e"])
    except SchedulerError as error:
        if "Invalid job id" in str(error):
            return None
        raise
    ends = re.findall(r"^\d+\|(\S+)\s*$", said, re.MULTILINE)
    return ends[-1] if ends else None


def version() -> str:
    """Return the version that sbatch prints.

    Raises:
        SchedulerError: sbatch failed.

    """
    return _output(["sbatch", "--version"]).strip()


def partition_nodes(name: str | None, cluster: str = "") -> int:
    """Return the number of nodes of a partition of a cluster, or of all its partitions.

    Raises:
        SchedulerError: Slurm does not answer, or has no such partition.

    """
    said = _output(["sinfo", *_asked_of(cluster), "-h", *(["-p", name] if name else []), "-o", "%D"]).split()
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


def job_id(number: str, cluster: str) -> str:
    """Return the id of a job; `cluster` is empty for the default one."""
    return f"{number};{cluster}" if cluster else number


def _by_cluster(ids: Sequence[str]) -> dict[str, list[str]]:
    """Return the numbers of jobs by cluster."""
    found: dict[str, list[str]] = {}
    for number, _, cluster in (job.partition(";") for job in ids):
        found.setdefault(cluster, []).append(number)
    return found


def _asked_of(cluster: str) -> list[str]:
    """Return the option for a cluster; none for the default one, since the option needs Slurm's database."""
    return [f"--clusters={cluster}"] if cluster else []


_QUEUED = re.compile(r"(\d+)\|([A-Z_]+)\|([^|]*)\|([^|]*)\|(.*)")
_ACCOUNTED = re.compile(r"(\d+)\|([A-Z_]+)[^|]*\|(\d*)\|([^|]*)\|(\d+:\d+)")
"""Rows of squeue and sacct; the state of sacct may go on (CANCELLED by 1000), the exit code is status:signal."""


def _rows(command: list[str], form: re.Pattern[str]) -> tuple[list[tuple[str, ...]], str]:
    """Return the rows of a listing, and the lines that are none (a site's banner, say)."""
    rows, others = [], []
    for line in filter(None, map(str.strip, _output(command).splitlines())):
        row = form.fullmatch(line)
        if row is not None:
            rows.append(row.groups())
        elif not _IGNORED.match(line):
            others.append(line)
    return rows, "\n".join(others)


_IGNORED = re.compile(r"CLUSTER: |\d+_")
"""A heading that squeue once printed for each cluster, and tasks of job arrays, which are not ours."""


def _shown(text: str) -> str:
    """Return the beginning of a program's output, for a message."""
    shown = " ".join(text.split())
    return repr(shown if len(shown) <= 200 else f"{shown[:200]}...")


_HELD = ("RUNNING", "CONFIGURING", "SUSPENDED", "STOPPED", "SIGNALING", "RESIZING")
"""States in which a job has its nodes."""

_OF_MINE = ("-h", "-t", "all", "-u", str(os.getuid()))  # numeric: in an image, for example, a user may have no name


def _accounted(ids: Sequence[str], cluster: str) -> dict[str, JobStatus]:
    """Return the status of jobs from accounting, if there is any: squeue forgets jobs minutes after their end."""
    if shutil.which("sacct") is None:
        return {}
    fields = "JobIDRaw,State,ElapsedRaw,NodeList,ExitCode"
    try:
        rows, _ = _rows(["sacct", *_asked_of(cluster), "-n", "-P", "-X", "-j", ",".join(ids), "-o", fields], _ACCOUNTED)
    except SchedulerError:  # accounting is disabled
        return {}
    found = {}
    for job, state, elapsed, nodes, code in rows:
        killed = state == "FAILED" and not code.endswith(":0")
        found[job] = JobStatus("KILLED" if killed else state, "", float(elapsed or 0), nodes)
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


_SHAPING = re.compile(r"(SQUEUE|SACCT|SINFO|SCONTROL|SCANCEL)_\w+|SLURM_CLUSTERS")
"""Variables that format or filter listings; a job hidden by such a filter would look forgotten."""

_DECIDING = re.compile(r"SBATCH_(?!ACCOUNT$|WCKEY$)\w+|SRUN_\w+|SLURM_(?!CONF$)\w+")
"""Variables that beat or complete the options of a script (sbatch's and srun's manuals, input environment variables),
and those of a job that the caller is in. The account and the key that are charged may come from a site's profile.
"""


def ignored(environment: Mapping[str, str]) -> list[str]:
    """Return the names of the caller's variables that would have decided over a submission."""
    others = ("SLURM_CLUSTERS", "SLURM_JOB_ID")
    named = (name for name in environment if name.startswith("SBATCH_") or name in others)
    return sorted(name for name in named if _DECIDING.fullmatch(name))


def _output(command: list[str]) -> str:
    hidden = _DECIDING if command[0] == "sbatch" else _SHAPING
    own = {name: value for name, value in os.environ.items() if not hidden.fullmatch(name)}
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
