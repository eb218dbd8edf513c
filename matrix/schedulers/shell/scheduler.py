"""The shell scheduler: jobs as background processes on this machine."""

from __future__ import annotations

import ipaddress
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from bench.contract.results.result import Allocation
from matrix.config.system import SystemFile
from matrix.errors import NoAnswerError, SchedulerError
from matrix.schedulers.base import Finding, HeldAllocation, JobRequest, JobStatus
from matrix.schedulers.shell.spool import ShellJob, SpooledJob, ids, spool
from matrix.schedulers.states import PENDING

MARK = "#SHELL "
"""Prefix of the lines of a script that this scheduler reads."""

UP = 60.0
"""Seconds for a supervisor to start."""


class ShellScheduler:
    """Batch jobs without a batch system, for workstations and tests."""

    title = "the shell scheduler"
    submits_by = "python -m matrix.schedulers.shell"
    agents: Literal["srun", "here"] = "here"

    def submit(self, script: Path) -> str:
        """Start a supervisor for a script, in a new session."""
        try:
            spooled = SpooledJob.create(_job_of(script))
            with (spooled.path / "supervisor.log").open("wb") as log:
                supervisor = subprocess.Popen(
                    [sys.executable, "-P", "-m", "matrix.schedulers.shell.supervise", str(spooled.path)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError as error:
            raise SchedulerError(f"{error.filename or script}: {error.strerror}") from error
        deadline = time.monotonic() + UP
        while spooled.supervisor is None and spooled.ended is None:
            if supervisor.poll() is not None:
                raise SchedulerError(f"its supervisor failed to start, see {spooled.path}/supervisor.log")
            if time.monotonic() > deadline:
                raise NoAnswerError(f"the supervisor of job {spooled.id} did not start within {UP:g} s")
            time.sleep(0.02)
        return spooled.id

    def look(self, ids: Sequence[str]) -> dict[str, JobStatus]:
        """Read the jobs' folders and check that their supervisors are alive."""
        found = {}
        for each in ids:
            job = SpooledJob(spool() / each)
            if job.path.is_dir():
                state, seconds = job.state()
                found[each] = JobStatus(state, "Resources" if state == PENDING else "", seconds, "")
        return found

    def named(self, name: str) -> list[str]:
        """Search the folders of all jobs."""
        jobs = ((each, SpooledJob(spool() / each).job) for each in ids())
        return [each for each, job in jobs if job is not None and job.name == name]

    def cancel(self, ids: Sequence[str]) -> None:
        """Ask the jobs' supervisors to end them."""
        for each in ids:
            job = SpooledJob(spool() / each)
            if job.path.is_dir() and job.ended is None:
                job.cancel()

    def held(self, environment: Mapping[str, str]) -> HeldAllocation | None:
        """Return the allocation of the job in XFFL_SHELL_JOB, if it is running."""
        number = environment.get("XFFL_SHELL_JOB", "")
        if not re.fullmatch(r"[0-9]+", number):  # anything else would be a path out of the spool
            return None
        spooled = SpooledJob(spool() / number)
        job, started = spooled.job, spooled.started
        if job is None or started is None or spooled.ended is not None:
            return None
        first = ipaddress.IPv4Address("127.0.0.1")
        hosts = [str(first + node) for node in range(job.nodes)]
        return HeldAllocation(Allocation(job=number, hosts=hosts, switches={}), started.at + job.seconds)

    def restarts(self, environment: Mapping[str, str]) -> int:
        """Return 0: a job is started once."""
        return 0

    def ignored(self, environment: Mapping[str, str]) -> list[str]:
        """Return nothing: options come from the script alone."""
        return []

    def header(self, request: JobRequest, system: SystemFile) -> list[str]:
        """Return `#SHELL key=value` lines."""
        settings = system.shell
        values = {
            "name": request.name,
            "nodes": str(request.nodes or 1),
            "minutes": str(request.minutes),
            "log": str(request.log),
            "warn_seconds": str(settings.warn_seconds if request.nodes else 0),
            "jobs_at_once": str(settings.jobs_at_once),
            **({"after": ",".join(request.after)} if request.after else {}),
        }
        return [f"{MARK}{name}={shlex.quote(value)}" for name, value in values.items()]

    def variables(self) -> list[str]:
        """Return the line that exports the job's id."""
        return ['export XFFL_BENCH_JOB="$XFFL_SHELL_JOB" XFFL_BENCH_RESTARTS=0']

    def end_in_log(self, text: str) -> str | None:
        """Return None: the supervisor records the state and writes to no log."""
        return None

    def will_not_start(self, reason: str) -> bool:
        """Return False: a job waits for its turn only."""
        return False

    def check(self, system: SystemFile) -> Iterator[Finding]:
        """Look whether jobs can be kept, if the system wants some."""
        if system.scheduler != "shell":
            return
        place = next(path for path in (spool(), *spool().parents) if path.exists())
        is_there = place.is_dir() and os.access(place, os.W_OK)
        remedy = "set XDG_STATE_HOME to a writable folder"
        yield Finding("shell jobs", f"kept in {spool()}", is_there=is_there, remedy=remedy)


def _job_of(script: Path) -> ShellJob:
    """Read the job from the `#SHELL` lines of a script.

    Raises:
        SchedulerError: a line is missing or invalid.
        OSError: the script cannot be read.

    """
    lines = [line.removeprefix(MARK) for line in script.read_text(encoding="utf-8").splitlines() if _is_ours(line)]
    values = {name: "".join(shlex.split(value)) for name, _, value in (line.partition("=") for line in lines)}
    try:
        return ShellJob(
            name=values["name"],
            script=str(script.absolute()),
            log=values["log"],
            seconds=60 * float(values["minutes"]),
            warn_seconds=float(values["warn_seconds"]),
            nodes=int(values["nodes"]),
            jobs_at_once=int(values["jobs_at_once"]),
            after=values["after"].split(",") if "after" in values else [],
            submitted=time.time(),
        )
    except (KeyError, ValueError) as error:
        raise SchedulerError(
            f"{script}: its {MARK.strip()} lines are not as xffl-bench writes them ({error})"
        ) from error


def _is_ours(line: str) -> bool:
    return line.startswith(MARK)
