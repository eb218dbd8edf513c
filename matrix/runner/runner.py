"""Running a sweep: one run after the other, each to exactly one outcome, whatever happens to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from bench.contract.files import AttemptFolder, RunFolder, write_document
from bench.contract.outcomes import Outcome
from bench.contract.result import Allocation, Heartbeat, Result
from bench.contract.run import Run
from matrix.errors import LostHostError
from matrix.host.processes import StuckError, oom_kills
from matrix.launchers.base import Launched, Launcher, LaunchError, UncleanHostError
from matrix.runner.rank_ends import FailedRanks
from matrix.store.claim import Claim
from matrix.store.judge import Attempted, Ending, Verdict, judge
from matrix.store.settle import set_aside, write_result
from matrix.store.sweep_folder import SweepFolder, timestamp
from matrix.xffl.probe import refusal

POLL = 0.02  # seconds
STACKS = 0.5  # seconds for the processes of a stuck run to print where they are
GRACE = 5.0  # seconds that the others get to leave their evidence once a process of the run has failed


class Observer(Protocol):
    """Who is told what happens, to show it."""

    def started(self, run: Run) -> None:
        """A run begins."""

    def beat(self, run: Run, heartbeat: Heartbeat) -> None:
        """A run has come further."""

    def ended(self, result: Result) -> None:
        """A run has an outcome."""

    def kept(self, result: Result) -> None:
        """A run had its result already."""


@dataclass
class Summary:
    """What a call has done: outcomes of the runs it was asked for, new ones and kept ones."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    started: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)
    """Runs that could not start any more, each with the reason."""

    def all_completed(self, *, only_started: bool) -> bool:
        """Whether every run completed; with `only_started` those count that this call started."""
        considered = self.started if only_started else [*self.outcomes, *self.left]
        return all(self.outcomes.get(run_id) is Outcome.COMPLETED for run_id in considered)


MAY_BE_THE_HOST = (Outcome.CRASHED, Outcome.HUNG, Outcome.LAUNCH_FAILED, Outcome.TIMEOUT)
"""Outcomes that a run gets, too, where one of its hosts has died."""


def always(run: Run) -> str:
    """Nothing keeps a run from starting."""
    return ""


class SweepRunner:
    """Runs what a sweep lacks. The caller holds the claim on the sweep, or on the job that the runs belong to.

    Args:
        allocation: where a scheduler has put this runner.
        hindrance: why a run must not start now, empty where nothing is in its way.

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
    ) -> None:
        self._sweep = sweep
        self._launcher = launcher
        self._claim = claim
        self._observer = observer
        self._allocation = allocation
        self._hindrance = hindrance
        self._out_of_memory: list[Run] = []

    def run_all(self, runs: Sequence[Run], *, max_runs: int | None, retry_failed: bool) -> Summary:
        """Run what has no final result yet, at most `max_runs` of it.

        Raises:
            KeyboardInterrupt: after the run in flight was ended and its outcome written.
            StuckError: a run's processes could not be ended; its outcome was written.
            LostHostError: a host of the allocation no longer answers; the run that was under way is interrupted.
            LostClaimError: another runner has taken the sweep.
            OSError: a result could not be written; the run in flight was ended.

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
        """A job that is run again after it was interrupted keeps also what failed in it before."""
        job = self._allocation and self._allocation.job
        before = job is not None and result.allocation is not None and result.allocation.job == job
        return result.outcome is Outcome.COMPLETED or (result.outcome.is_final and (before or not retry_failed))

    def _attempt(self, run: Run) -> Result:
        folder, attempt = self._new_attempt(run)
        self._observer.started(run)
        begin, started, kills = time.monotonic(), timestamp(), oom_kills()
        fault: StuckError | LostHostError | KeyboardInterrupt | None = None
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
        if lost and self._allocation and not fault and verdict.outcome in MAY_BE_THE_HOST:
            fault, verdict = LostHostError(lost[0]), _without_blame(verdict)
        result = self._write(folder, attempt.number, verdict, started, time.monotonic() - begin)
        if fault:
            raise fault
        return result

    def _ended(
        self, run: Run, attempt: AttemptFolder, launched: Launched
    ) -> tuple[Attempted, list[str], StuckError | KeyboardInterrupt | None]:
        """Follow a run and end what is left of it: how it ended, a sentence for each host of which that is not known,
        and what is to be raised once its outcome is written.
        """
        fault: StuckError | KeyboardInterrupt | None = None
        try:
            ending = self._follow(run, attempt, launched)
        except KeyboardInterrupt as error:
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
        """Watch a run until its processes have ended, or it must be ended."""
        begin = time.monotonic()
        sign_of_life, last_sign, failed_at = 0, begin, None
        ranks = FailedRanks(attempt)
        while True:
            if launched.is_over():
                return Ending.ITSELF
            now = time.monotonic()
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

    def _write(self, folder: RunFolder, attempt: int, verdict: Verdict, started: str, seconds: float) -> Result:
        result = write_result(
            folder, verdict, attempt=attempt, started=started, seconds=seconds, allocation=self._allocation
        )
        self._observer.ended(result)
        return result

    def _without_running(self, run: Run, outcome: Outcome, reason: str) -> Result:
        folder, attempt = self._new_attempt(run)
        return self._write(folder, attempt.number, Verdict(outcome, reason), timestamp(), 0.0)

    def _new_attempt(self, run: Run) -> tuple[RunFolder, AttemptFolder]:
        self._claim.check()
        folder = self._sweep.run(run.id)
        attempts = folder.attempts()
        attempt = folder.attempt(attempts[-1].number + 1 if attempts else 0)
        attempt.create()
        write_document(folder.run, run)
        set_aside(folder)  # last: an attempt without a result is one that somebody was at when he died
        return folder, attempt

    def _smaller_out_of_memory(self, run: Run) -> Run | None:
        return next((tried for tried in self._out_of_memory if _needs_less(tried, run)), None)


def _needs_less(tried: Run, run: Run) -> bool:
    """Whether `tried` is the same combination with a smaller batch."""
    alike = {"batch_size": 0, "repeat": 0, "id": "", "labels": {}}
    return tried.batch_size < run.batch_size and tried.model_copy(update=alike) == run.model_copy(update=alike)


def _is_out_of_memory(result: Result | None) -> bool:
    """In training: one that came to its window's end ran out later, in saving, which says nothing of batches."""
    return result is not None and result.outcome is Outcome.OOM and result.measured is None


def _without_blame(verdict: Verdict) -> Verdict:
    """Of a run that lost a host: what it looks like is no verdict on it."""
    return replace(verdict, outcome=Outcome.INTERRUPTED, reason=f"a host was lost: {verdict.reason}")


def _written(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
