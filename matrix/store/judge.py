"""Determine the outcome of an attempt, with a reason and evidence.

Success is determined from the files of rank 0 and of every rank; exit statuses are evidence, not proof.
"""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path

from pydantic import ValidationError

from bench.contract.agent import NO_SEMAPHORES, PORT_TAKEN
from bench.contract.results.measured import Measured
from bench.contract.results.outcomes import Outcome
from bench.contract.results.result import RankEnd
from bench.contract.run import Run
from bench.contract.storage.files import AttemptFolder
from bench.host import semaphores
from matrix.store.sweep_folder import read_own

EVIDENCE_LINES = 12


class Ending(Enum):
    """What ended an attempt."""

    ITSELF = "its own processes"
    TIMEOUT = "the time limit"
    HANG = "the hang limit"
    INTERRUPTION = "the user"


@dataclass(frozen=True)
class Process:
    """A process of an attempt.

    Attributes:
        name: what messages call it.
        rank: its rank, None for an agent or a launcher.

    """

    name: str
    rank: int | None = None

    @classmethod
    def of_rank(cls, rank: int) -> Process:
        """Return the process of a rank."""
        return cls(f"rank {rank}", rank)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Attempted:
    """What the runner observed of an attempt.

    Attributes:
        statuses: exit statuses of processes that ended by themselves; negative for a signal.
        oom_kills: out-of-memory kills by this machine's kernel during the attempt; None if the run used other machines
            too.
        memory_line: the scheduler's message that it killed a process for lack of memory, "" without one.

    """

    ending: Ending
    statuses: dict[Process, int]
    oom_kills: int | None
    memory_line: str = ""


@dataclass(frozen=True)
class Verdict:
    """The outcome of an attempt, with its reason and evidence.

    `port_taken`: no rank trained, because another program had the port of the rendezvous; another port may be free.
    """

    outcome: Outcome
    reason: str
    evidence: list[str] = field(default_factory=list)
    measured: Measured | None = None
    lost_to: str | None = None
    job_end: str | None = None
    port_taken: bool = False


def judge(run: Run, folder: AttemptFolder, attempted: Attempted) -> Verdict:
    """Return the verdict on an attempt from its folder and the runner's observations.

    Raises:
        InputError: a newer xffl-bench wrote one of its files.

    """
    ends = _rank_ends(folder, run.world)
    measured, damage = _measured(folder)
    if measured is not None and len(ends) == run.world and all(end.completed for end in ends.values()):
        return _finished(measured)
    # Keep the measurement even if the end of the run failed, for example saving to a full disk.
    return replace(_unfinished(run, folder, attempted, ends, damage), measured=measured)


def _unfinished(
    run: Run, folder: AttemptFolder, attempted: Attempted, ends: dict[int, RankEnd], damage: list[str]
) -> Verdict:
    evidence = _evidence(folder, ends, attempted) + damage
    step = _steps_reached(folder, ends)
    reached = "before the first step" if step < 0 else f"after step {step + 1} of {run.training.steps}"
    out_of_memory = [end.rank for end in ends.values() if end.out_of_memory]
    if out_of_memory:  # even if its peers then hung
        return Verdict(Outcome.OOM, f"rank {out_of_memory[0]} ran out of memory {reached}", evidence)
    match attempted.ending:
        case Ending.INTERRUPTION:
            return Verdict(Outcome.INTERRUPTED, f"interrupted {reached}", evidence)
        case Ending.TIMEOUT:
            limit = f"limits.run_seconds = {run.limits.run_seconds:g}"
            return Verdict(Outcome.TIMEOUT, f"not finished within {limit}, {reached}", evidence)
        case Ending.HANG:
            limit = f"limits.hang_seconds = {run.limits.hang_seconds:g}"
            return Verdict(Outcome.HUNG, f"no progress for {limit}, {reached}", evidence)
        case Ending.ITSELF:
            return _failed(folder, ends, attempted, step, reached, evidence)


def _finished(measured: Measured) -> Verdict:
    if measured.invalid:
        return Verdict(Outcome.INVALID, measured.invalid, measured=measured)
    losses = {"first": measured.loss.first, "final": measured.loss.final, "validation": measured.loss.validation}
    bad = [f"{name} loss is {value}" for name, value in losses.items() if not math.isfinite(value)]
    if bad:
        return Verdict(Outcome.DIVERGED, "; ".join(bad), measured=measured)
    return Verdict(Outcome.COMPLETED, "", measured=measured)


def _failed(
    folder: AttemptFolder,
    ends: dict[int, RankEnd],
    attempted: Attempted,
    step: int,
    reached: str,
    evidence: list[str],
) -> Verdict:
    killed = _killed(folder, attempted)
    if 9 in killed.values() and attempted.oom_kills:
        which = ", ".join(str(process) for process, number in killed.items() if number == 9)
        return Verdict(Outcome.OOM, f"out of host memory: the kernel killed {which} {reached}", evidence)
    if line := attempted.memory_line:
        return Verdict(Outcome.OOM, f"out of host memory: the scheduler killed a process {reached}: {line}", evidence)
    if step < 0 and (PORT_TAKEN in attempted.statuses.values() or any(end.port_taken for end in ends.values())):
        reason = "another program has the port of the rendezvous on the first node"
        return Verdict(Outcome.LAUNCH_FAILED, reason, evidence, port_taken=True)
    if NO_SEMAPHORES in attempted.statuses.values():
        reason = f"no semaphores, which starting ranks needs: {semaphores.NEEDED}"
        return Verdict(Outcome.LAUNCH_FAILED, reason, evidence)
    reason = _cause(ends, killed, attempted) + f", {reached}"
    return Verdict(Outcome.LAUNCH_FAILED if step < 0 else Outcome.CRASHED, reason, evidence)


def _cause(ends: dict[int, RankEnd], killed: dict[Process, int], attempted: Attempted) -> str:
    if killed:  # errors of other ranks are the consequence
        ranks = {process: number for process, number in killed.items() if process.rank is not None}
        which = ", ".join(f"{process} by signal {number}" for process, number in (ranks or killed).items())
        return f"killed: {which}" + " (the kernel counted no out-of-memory kill)" * bool(
            ranks and attempted.oom_kills == 0
        )
    failed = [end for end in ends.values() if end.error]
    if failed:
        first = failed[0]
        message = (first.error or "").splitlines()[0]
        return f"rank {first.rank} failed in {first.phase}: {message}"
    bad = {process: status for process, status in attempted.statuses.items() if status != 0}
    if bad:
        return "; ".join(f"{process} ended with status {status}" for process, status in bad.items())
    return "the ranks ended without a complete result"


def _rank_ends(folder: AttemptFolder, world: int) -> dict[int, RankEnd]:
    """Return the ranks' end records, earliest first: later errors are often only the consequence."""
    files = [file for rank in range(world) if (file := folder.rank_end(rank)).exists()]
    ends: dict[int, RankEnd] = {}
    for file in sorted(files, key=lambda each: each.stat().st_mtime_ns):
        try:
            end = read_own(file, RankEnd)
        except ValidationError:
            continue  # without a readable record the rank counts as not finished
        ends[end.rank] = end
    return ends


def _measured(folder: AttemptFolder) -> tuple[Measured | None, list[str]]:
    """Return rank 0's measurement, and faults if it cannot be read."""
    if not folder.measured.exists():
        return None, []
    try:
        return read_own(folder.measured, Measured), []
    except ValidationError as error:
        return None, [f"{folder.measured.name}: {error}".splitlines()[0]]


def _steps_reached(folder: AttemptFolder, ends: dict[int, RankEnd]) -> int:
    """Return the last step, from 0, that any rank is known to have finished; -1 before the first."""
    steps = [end.step for end in ends.values()]
    if beat := folder.last_heartbeat():
        steps.append(beat.step)
    return max(steps, default=-1)


_CHILD = re.compile(r"rank\s*: (\d+) \(local_rank: \d+\)\s+exitcode\s*: -(\d+)")


def _killed(folder: AttemptFolder, attempted: Attempted) -> dict[Process, int]:
    """Return the processes killed by a signal before the launcher ended the rest, with the signal's number.

    Found by exit status and in the root cause that torchrun reports.
    """
    killed: dict[Process, int] = {}
    for log in sorted(folder.logs.glob("node*.log")):
        report = log.read_text(encoding="utf-8", errors="replace").rpartition("Root Cause")[2]
        killed |= {Process.of_rank(int(rank)): int(number) for rank, number in _CHILD.findall(report) if number != "15"}
    return killed | {process: -status for process, status in attempted.statuses.items() if status < 0}


def _evidence(folder: AttemptFolder, ends: dict[int, RankEnd], attempted: Attempted) -> list[str]:
    lines = [f"rank {end.rank}: {end.error} (in {end.phase})" for end in ends.values() if end.error][:3]
    if beat := folder.last_heartbeat():
        age = time.time() - folder.heartbeat.stat().st_mtime
        lines.append(
            f"last heartbeat of rank 0: {age:.1f} s ago, in {beat.phase}, step {beat.step + 1} of {beat.steps}"
        )
    statuses = [
        f"{process} ended with status {status}" for process, status in attempted.statuses.items() if status != 0
    ]
    lines += statuses[:4]
    failed = next((end.rank for end in ends.values() if end.error), None)
    logs = [folder.rank_log(failed)] if failed is not None else sorted(folder.logs.glob("*.log"), key=_launcher_first)
    for log in logs:
        room = EVIDENCE_LINES - len(lines)
        if room > 0:
            lines += [f"{log.name}: {line}" for line in _last_lines(log, min(room, 6))]
    return lines


def _launcher_first(log: Path) -> tuple[bool, str]:
    """Return a sort key that puts the launcher's log first, which has the reason if no rank gives one."""
    return log.name != "xffl.log", log.name


def _last_lines(log: Path, count: int) -> list[str]:
    if not log.exists():
        return []
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 16_384))
        text = file.read().decode("utf-8", errors="replace")
    return [line for line in text.splitlines() if line.strip()][-count:]
