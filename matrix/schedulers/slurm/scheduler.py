"""The Slurm scheduler."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

from bench.contract.results.result import Allocation
from matrix.config.system import SystemFile
from matrix.errors import InputError, SchedulerError
from matrix.schedulers.base import Finding, HeldAllocation, JobRequest, JobStatus
from matrix.schedulers.slurm import commands, header, states

COMMANDS = ("sbatch", "squeue", "scancel", "scontrol", "srun", "sinfo")
LOGIN = "run xffl-bench on a login node"


class SlurmScheduler:
    """Slurm, driven by its command-line tools.

    Args:
        cluster: cluster that jobs are submitted to, "" for the default one.

    """

    title = "Slurm"
    submits_by = "sbatch"
    agents: Literal["srun", "here"] = "srun"

    def __init__(self, cluster: str = "") -> None:
        self._cluster = cluster

    def submit(self, script: Path) -> str:
        """Call sbatch."""
        return commands.submit(script)

    def look(self, ids: Sequence[str]) -> dict[str, JobStatus]:
        """Call squeue, and sacct for jobs that it has forgotten."""
        return commands.look(ids)

    def named(self, name: str) -> list[str]:
        """Call squeue."""
        return commands.named(name, self._cluster)

    def cancel(self, ids: Sequence[str]) -> None:
        """Call scancel."""
        commands.cancel(ids)

    def held(self, environment: Mapping[str, str]) -> HeldAllocation | None:
        """Query the hosts, switches and end of the job in SLURM_JOB_ID.

        Raises:
            InputError: that job is over; a terminal may outlive its allocation.

        """
        job, nodes = environment.get("SLURM_JOB_ID"), environment.get("SLURM_JOB_NODELIST")
        if job is None or nodes is None:
            return None
        if self._cluster and environment.get("SLURM_CLUSTER_NAME", "").lower() == self._cluster.lower():
            job = commands.job_id(job, environment["SLURM_CLUSTER_NAME"])
        ends = commands.end_time(job) if re.fullmatch(r"\d+(;[\w.-]+)?", job) else None
        if ends is None:
            raise InputError(
                f"SLURM_JOB_ID: job {job} is not running: unset SLURM_JOB_ID to submit jobs, or use a new allocation"
            )
        hosts = commands.host_names(nodes)
        return HeldAllocation(Allocation(job=job, hosts=hosts, switches=commands.switches(hosts)), _timestamp(ends))

    def ignored(self, environment: Mapping[str, str]) -> list[str]:
        """Return sbatch's variables and SLURM_CLUSTERS."""
        return commands.ignored(environment)

    def restarts(self, environment: Mapping[str, str]) -> int:
        """Return SLURM_RESTART_COUNT."""
        return int(environment.get("SLURM_RESTART_COUNT", "0"))

    def header(self, request: JobRequest, system: SystemFile) -> list[str]:
        """Return `#SBATCH` lines."""
        return [f"#SBATCH {option}" for option in header.options(request, system)]

    def variables(self) -> list[str]:
        """Return lines that export the job's id and let srun pass on the environment."""
        return [
            'export XFFL_BENCH_JOB="${SLURM_JOB_ID:-}" XFFL_BENCH_RESTARTS="${SLURM_RESTART_COUNT:-0}"',
            "unset SLURM_EXPORT_ENV  # with NONE, ranks would get no variables",
        ]

    def end_in_log(self, text: str) -> str | None:
        """Return the state in the last message of slurmstepd."""
        return states.in_log(text)

    def will_not_start(self, reason: str) -> bool:
        """Return True if Slurm's reason does not resolve without intervention."""
        return states.will_not_start(reason)

    def check(self, system: SystemFile) -> Iterator[Finding]:
        """Yield whether the commands are installed and the partition has the nodes of the system file."""
        missing = [tool for tool in COMMANDS if shutil.which(tool) is None]
        if missing:
            yield Finding("Slurm", f"no {' and no '.join(missing)} in PATH", is_there=False, remedy=LOGIN)
            return
        try:
            yield Finding("Slurm", commands.version(), is_there=True)
        except SchedulerError as error:
            yield Finding("Slurm", str(error), is_there=False, remedy=LOGIN)
            return
        if system.scheduler == "slurm":
            yield _partition(system)


def _partition(system: SystemFile) -> Finding:
    name = system.slurm.partition
    label = f"partition {name}" if name else "partitions"
    try:
        nodes = commands.partition_nodes(name, system.slurm.cluster)
    except SchedulerError as error:
        return Finding(label, str(error), is_there=False, remedy="see `sinfo`")
    if name and nodes == 0:
        return Finding(label, "no such partition, or it has no nodes", is_there=False, remedy="`sinfo` lists them")
    if nodes < system.nodes:
        remedy = "choose another slurm.partition, or lower 'nodes'"
        return Finding(label, f"{nodes} nodes, but the system file has {system.nodes}", is_there=False, remedy=remedy)
    return Finding(label, f"{nodes} nodes", is_there=True)


def _timestamp(ends: str) -> float:
    # Not SLURM_JOB_END_TIME: an administrator may have changed the end since the job started.
    try:
        return datetime.fromisoformat(ends).timestamp()  # Slurm prints the host's local time
    except ValueError:  # NONE, N/A: no limit
        return float("inf")
