"""Slurm's own commands, one function each: what is asked, and what is answered."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from matrix.host.calls import call, complaint
from matrix.schedulers.slurm.states import failed

T = TypeVar("T")

LIMIT = 60.0
"""Seconds for an answer; a busy controller lets people wait."""

PATIENCE = 600.0
"""Seconds for an answer to a job that has its nodes."""


class SlurmError(RuntimeError):
    """A command of Slurm failed; what it said."""


class NoAnswerError(SlurmError):
    """Slurm did not say whether it has done what it was asked for."""


@dataclass(frozen=True)
class Seen:
    """What Slurm says of a job.

    Attributes:
        state: as `matrix.schedulers.slurm.states` names it.
        reason: why it waits, or why it ended.
        seconds: that it has run.
        nodes: as Slurm writes them, `node[0-3]`.

    """

    state: str
    reason: str
    seconds: float
    nodes: str


def submit(script: Path) -> str:
    """Hand a script to sbatch; returns the job's id.

    Raises:
        NoAnswerError: the job may be in the queue, or come there.
        SlurmError: it was refused.

    """
    return _output(["sbatch", "--parsable", str(script)]).partition(";")[0].strip()


def look(ids: Sequence[str]) -> dict[str, Seen]:
    """What Slurm says of jobs, by id; those that it has forgotten are missing.

    Raises:
        SlurmError: it does not answer.

    """
    wanted = set(ids)
    if not wanted:
        return {}
    found = {}
    for line in _output(["squeue", *_OF_MINE, "-o", "%i|%T|%M|%N|%r"]).splitlines():
        job, state, elapsed, nodes, reason = line.split("|", 4)
        if job in wanted:
            state = failed(reason) if state == "FAILED" else state
            found[job] = Seen(state, reason, _seconds(elapsed), nodes)
    missing = wanted - found.keys()
    return found | (_accounted(sorted(missing)) if missing else {})


def named(name: str) -> list[str]:
    """Ids of the jobs of a name that Slurm knows, whatever their state.

    Raises:
        SlurmError: it does not answer.

    """
    return _output(["squeue", *_OF_MINE, "--name", name, "-o", "%i"]).split()


def cancel(ids: Sequence[str]) -> None:
    """Cancel jobs; one that has ended already is no fault.

    Raises:
        SlurmError: Slurm does not answer.

    """
    if ids:
        _output(["scancel", *ids])


def host_names(nodes: str) -> list[str]:
    """`node[0-1]` as `node0`, `node1`.

    Raises:
        SlurmError: Slurm does not answer.

    """
    return _output(["scontrol", "show", "hostnames", nodes]).split()


def end_time(job: str) -> str:
    """When a job will end, as Slurm prints it.

    Raises:
        SlurmError: Slurm does not answer.

    """
    return _output(["squeue", "-h", "-j", job, "-o", "%e"]).strip()


def switches(hosts: Sequence[str]) -> dict[str, str]:
    """The lowest switch over each host, where Slurm knows of switches."""
    try:
        said = _output(["scontrol", "show", "topology"])
    except SlurmError:  # it knows of none
        return {}
    found: dict[str, str] = {}
    for line in said.splitlines():
        if match := re.match(r"SwitchName=(\S+) Level=0 .*Nodes=(\S+)", line.strip()):
            found |= dict.fromkeys(host_names(match[2]), match[1])
    return {host: found[host] for host in hosts if host in found}


_OF_MINE = ("-h", "-t", "all", "-u", str(os.getuid()))  # the number: not every user has a name, in an image for one


def _accounted(ids: Sequence[str]) -> dict[str, Seen]:
    """The same from the accounts, where the cluster keeps some: squeue forgets jobs some minutes after their end."""
    if shutil.which("sacct") is None:
        return {}
    fields = "JobIDRaw,State,ElapsedRaw,NodeList,ExitCode"
    try:
        lines = _output(["sacct", "-n", "-P", "-X", "-j", ",".join(ids), "-o", fields])
    except SlurmError:  # no accounts are kept
        return {}
    found = {}
    for line in lines.splitlines():
        job, state, elapsed, nodes, code = line.split("|")
        state = state.split()[0]  # CANCELLED by 1000
        if state == "FAILED" and not code.endswith(":0"):  # status:signal
            state = "KILLED"
        found[job] = Seen(state, "", float(elapsed or 0), nodes)
    return found


def _seconds(elapsed: str) -> float:
    """`1-02:03:04`, `02:03:04` or `03:04` in seconds."""
    days, _, rest = elapsed.rpartition("-")
    total = 0
    for part in rest.split(":"):
        if not part.isdigit():  # INVALID, where clocks differ
            return 0.0
        total = total * 60 + int(part)
    return float(total + 86_400 * int(days or 0))


def patiently(ask: Callable[[], T]) -> T:
    """The answer, if it comes within some minutes: what waited long in the queue does not end for a busy controller.

    Raises:
        SlurmError: it did not come.

    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return ask()
        except SlurmError:
            if time.monotonic() > deadline:
                raise
            time.sleep(10)


_SHAPING = re.compile(r"(SQUEUE|SACCT|SINFO)_\w+")
"""What users shape their own listings by; a job that such a filter hides would be taken for forgotten."""


def _output(command: list[str]) -> str:
    own = {name: value for name, value in os.environ.items() if not _SHAPING.fullmatch(name)}
    try:
        done = call(command, limit=LIMIT, environment={**own, "SLURM_TIME_FORMAT": "standard"})
    except OSError as error:
        raise SlurmError(f"{command[0]}: {error.strerror}") from error
    except subprocess.TimeoutExpired:
        raise NoAnswerError(f"{command[0]}: no answer in {LIMIT:g} s") from None
    if done.returncode != 0:
        said = complaint(done)
        raise NoAnswerError(said) if re.search(r"timed out|Unable to contact", said) else SlurmError(said)
    return done.stdout
