"""Run a sweep: one run after the other, each with exactly one outcome whatever happens."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Protocol

from bench.contract.outcomes import Outcome
from bench.contract.preflight import Preflight
from bench.contract.result import Allocation, AttemptStart, Heartbeat, Result
from bench.contract.run import Run
from bench.contract.storage.files import AttemptFolder, RunFolder, write_document
from bench.measure.outliers import compared, slow_hosts
from matrix.errors import LostHostError
from matrix.host.processes import StuckError, oom_kills
from matrix.launchers.base import Launched, Launcher, LaunchError, UncleanHostError
from matrix.runner.rank_ends import FailedRanks
from matrix.store.claim import BEAT_EVERY, Claim, LostClaimError
from matrix.store.judge import Attempted, Ending, Verdict, judge
from matrix.store.settle import set_aside, write_result
from matrix.store.sweep_folder import SweepFolder, timestamp
from matrix.xffl.probe import refusal

POLL = 0.02  # seconds
STACKS = 0.5  # seconds for the processes of a hung run to print their stacks
PORTS = 3  # ports that a run is started on if other programs take them between their choice and their use
GRACE = 5.0  # seconds for the other processes to write their evidence after one has failed


class Observer(Protocol):
    """Receives the progress of a sweep, to show it."""

    def started(self, run: Run) -> None:
        """Handle the start of a run."""

    def beat(self, run: Run, heartbeat: Heartbeat) -> None:
        """Handle progress of a run."""

    def ended(self, result: Result) -> None:
        """Handle the outcome of a run."""

    def kept(self, result: Result) -> None:
        """Handle a run that already has a result."""


@dataclass
class Summary:
    """The outcomes of the selected runs after a call, new and kept."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    started: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)
    """Runs that could no longer start, with the reason."""

    def all_completed(self, *, only_started: bool) -> bool:
        """Return True if every run completed; with `only_started`, every run that this call started."""
        considered = self.started if only_started else [*self.outcomes, *self.left]
        return all(self.outcomes.get(run_id) is Outcome.COMPLETED for run_id in considered)


Fault = StuckError | LostHostError | LostClaimError | KeyboardInterrupt
"""Why a runner stops after an attempt."""

MAY_BE_THE_HOST = (Outcome.CRASHED, Outcome.HUNG, Outcome.LAUNCH_FAILED, Outcome.TIMEOUT)
"""Outcomes that the death of a host can also cause."""


def always(run: Run) -> str:
    """Let every run start."""
    return ""


class SweepRunner:
    """Runs the unfinished runs of a sweep. The caller holds the claim on the sweep, or on the job with these runs.

    Args:
        sweep: folder of the sweep.
        launcher: starts the runs.
        claim: checked before each run, during it, and before anything is written for it.
        observer: receives progress.
        allocation: the scheduler's allocation that this runner is in.
        hindrance: returns why a run must not start now, or "".
        preflight: speed of the devices, nodes and links before the runs, which those of a run are compared with.

    """

    def __init__(
        self,
        sweep: SweepFolder,
        launcher: Launcher,
        claim: Claim,
        observer: Observer,
        *,
        allocation: Allocation | None = None,
        hindrance: Callable[[Run], str] = always,
        preflight: Preflight | None = None,
    ) -> None:
        self._sweep = sweep
        self._launcher = launcher
        self._claim = claim
        self._observer = observer
        self._allocation = allocation
        self._hindrance = hindrance
        self._preflight = preflight
        self._out_of_memory: list[Run] = []
        self._positions = count(1)
        self._session = f"{f'job {allocation.job}, ' if allocation else ''}runner {claim.number}"

    def run_all(self, runs: Sequence[Run], *, max_runs: int | None, retry_failed: bool) -> Summary:
        """Run what has no final result yet, at most `max_runs` runs.

        Raises:
            KeyboardInterrupt: after the active run was ended and its outcome written.
            StuckError: a run's processes could not be killed; its outcome was written.
            LostHostError: a host of the allocation no longer responds; the active run is `interrupted`.
            LostClaimError: another runner has taken the sweep; the active run was ended, and nothing is written.
            OSError: a result could not be written; the active run was ended.

        """
        summary = Summary()
        found = {run.id: self._sweep.result(run.id) for run in runs}
        if not retry_failed:
            self._out_of_memory += [run for run in runs if _is_out_of_memory(found[run.id])]
        for run in runs:
            result = found[run.id]
            if result is not None and self._is_kept(result, retry_failed=retry_failed):
                self._observer.kept(result)
            elif max_runs is not None and len(summary.started) >= max_runs:
                continue
            elif reason := refusal(run):
                result = self._without_running(run, Outcome.INVALID, reason)
            elif smaller := self._smaller_out_of_memory(run):
                reason = f"{smaller.id} ran out of memory with batch size {smaller.batch_size}"
                result = self._without_running(run, Outcome.OOM_INFERRED, reason)
            elif reason := self._hindrance(run):
                summary.left[run.id] = reason
                continue
            else:
                summary.started.append(run.id)
                result = self._attempt(run)
            summary.outcomes[run.id] = result.outcome
            if _is_out_of_memory(result):
                self._out_of_memory.append(run)
        return summary

    def _is_kept(self, result: Result, *, retry_failed: bool) -> bool:
        """Return True if a result is final; a restarted job also keeps its own earlier failures."""
        job = self._allocation and self._allocation.job
        before = job is not None and result.allocation is not None and result.allocation.job == job
        return result.outcome is Outcome.COMPLETED or (result.outcome.is_final and (before or not retry_failed))

    def _attempt(self, run: Run) -> Result:
        """Start a run, on up to `PORTS` ports if other programs have them; write the outcome of the last attempt."""
        for tried in range(PORTS):
            folder, attempt, start = self._new_attempt(run)
            if tried == 0:
                self._observer.started(run)
            begin = time.monotonic()
            verdict, fault = self._tried(run, folder, attempt)
            if fault or not verdict.port_taken:
                break
        else:
            verdict = replace(verdict, reason=f"{verdict.reason}, as in {PORTS - 1} attempts before with other ports")
        result = self._write(folder, attempt.number, verdict, start, time.monotonic() - begin)
        if fault:
            raise fault
        return result

    def _tried(self, run: Run, folder: RunFolder, attempt: AttemptFolder) -> tuple[Verdict, Fault | None]:
        """Make an attempt; return its verdict, and the exception to raise after that is written."""
        kills = oom_kills()
        fault: Fault | None = None
        try:
            launched = self._launcher.start(run, folder, attempt)
        except LaunchError as error:
            verdict = Verdict(Outcome.LAUNCH_FAILED, str(error))
            lost = [str(error)] if isinstance(error, UncleanHostError) else []
        else:
            ended, lost, fault = self._ended(run, attempt, launched)
            oom = oom_kills() - kills if launched.is_here else None
            verdict = judge(run, attempt, replace(ended, oom_kills=oom, memory_line=launched.memory_line()))
            verdict = replace(verdict, evidence=[*verdict.evidence, *lost])
            if verdict.measured is not None and self._preflight is not None:
                verdict = replace(verdict, measured=compared(run, verdict.measured, self._preflight))
        if lost and self._allocation and not fault and verdict.outcome in MAY_BE_THE_HOST:
            fault, verdict = LostHostError(lost[0]), _without_blame(verdict)
        return verdict, fault

    def _ended(self, run: Run, attempt: AttemptFolder, launched: Launched) -> tuple[Attempted, list[str], Fault | None]:
        """Follow a run and end its processes.

        Returns how it ended, a sentence for each host where that is unknown, and the exception to raise after its
        outcome is written.
        """
        fault: Fault | None = None
        try:
            ending = self._follow(run, attempt, launched)
        except (KeyboardInterrupt, LostClaimError) as error:
            ending, fault = Ending.INTERRUPTION, error
        statuses = launched.statuses()
        if ending in (Ending.HANG, Ending.TIMEOUT):
            launched.dump_stacks()
            time.sleep(STACKS)
        lost: list[str] = []
        try:
            lost = launched.stop()
        except StuckError as error:
            fault = error
        return Attempted(ending, statuses, None), lost, fault

    def _follow(self, run: Run, attempt: AttemptFolder, launched: Launched) -> Ending:
        """Watch a run until its processes have ended, or until it must be ended."""
        begin = time.monotonic()
        sign_of_life, last_sign, last_check, failed_at = 0, begin, begin, None
        ranks = FailedRanks(attempt)
        while True:
            if launched.is_over():
                return Ending.ITSELF
            now = time.monotonic()
            if now - last_check > BEAT_EVERY:
                last_check = now
                with contextlib.suppress(OSError):  # unknown is not lost; writing the result checks again
                    self._claim.check()
            if failed_at is None and (any(launched.statuses().values()) or ranks.any()):
                failed_at = now
            if failed_at is not None and now - failed_at > GRACE:
                return Ending.ITSELF
            if (written := _written(attempt.heartbeat)) != sign_of_life:
                sign_of_life, last_sign = written, now
                if beat := attempt.last_heartbeat():
                    self._observer.beat(run, beat)
            if now - begin > run.limits.run_seconds:
                return Ending.TIMEOUT
            if now - last_sign > run.limits.hang_seconds:
                return Ending.HANG
            time.sleep(POLL)

    def _write(self, folder: RunFolder, attempt: int, verdict: Verdict, start: AttemptStart, seconds: float) -> Result:
        result = write_result(folder, verdict, claim=self._claim, attempt=attempt, start=start, seconds=seconds)
        self._observer.ended(result)
        return result

    def _without_running(self, run: Run, outcome: Outcome, reason: str) -> Result:
        folder, attempt, start = self._new_attempt(run)
        return self._write(folder, attempt.number, Verdict(outcome, reason), start, 0.0)

    def _new_attempt(self, run: Run) -> tuple[RunFolder, AttemptFolder, AttemptStart]:
        folder = self._sweep.run(run.id)
        attempt = self._next_attempt(folder)
        start = AttemptStart(
            started=timestamp(),
            session=self._session,
            position=next(self._positions),
            allocation=self._allocation,
            slow_hosts=slow_hosts(self._preflight, run.nodes) if self._preflight else [],
        )
        write_document(attempt.start, start)
        self._claim.check()
        write_document(folder.run, run)
        set_aside(folder)  # last: an attempt without a result then belongs to a runner that died
        return folder, attempt, start

    def _next_attempt(self, folder: RunFolder) -> AttemptFolder:
        """Create the folder of the next attempt, which no other runner uses."""
        attempts = folder.attempts()
        number = attempts[-1].number + 1 if attempts else 0
        while True:
            self._claim.check()
            with contextlib.suppress(FileExistsError):  # of a runner without the claim, or NFS repeated the request
                folder.attempt(number).create(new=True)
                return folder.attempt(number)
            number += 1

    def _smaller_out_of_memory(self, run: Run) -> Run | None:
        return next((tried for tried in self._out_of_memory if _needs_less(tried, run)), None)


def _needs_less(tried: Run, run: Run) -> bool:
    """Return True if `tried` is the same combination with a smaller batch."""
    alike = {"batch_size": 0, "repeat": 0, "purpose": "measure", "id": "", "labels": {}}
    return tried.batch_size < run.batch_size and tried.model_copy(update=alike) == run.model_copy(update=alike)


def _is_out_of_memory(result: Result | None) -> bool:
    """Return True if a run ran out of memory in training; in saving, after the window, the batch does not matter."""
    return result is not None and result.outcome is Outcome.OOM and result.measured is None


def _without_blame(verdict: Verdict) -> Verdict:
    """Return the verdict on a run that lost a host: `interrupted`, whatever it looks like."""
    return replace(verdict, outcome=Outcome.INTERRUPTED, reason=f"a host was lost: {verdict.reason}")


def _written(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
