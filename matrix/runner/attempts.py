"""Attempts at runs, and at trials: each with exactly one outcome whatever happens."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Protocol

from bench.contract.results.outcomes import Outcome
from bench.contract.results.preflight import Preflight
from bench.contract.results.result import Allocation, AttemptStart, Heartbeat, Result
from bench.contract.run import Run
from bench.contract.storage.files import AttemptFolder, RunFolder, write_document
from bench.measure.outliers import compared, slow_hosts
from matrix.errors import LostClaimError, LostHostError
from matrix.host.processes import StuckError, oom_kills
from matrix.launchers.base import Launched, Launcher, LaunchError, UncleanHostError
from matrix.runner.rank_ends import FailedRanks
from matrix.store.claim import BEAT_EVERY, Claim
from matrix.store.judge import Attempted, Ending, Verdict, judge
from matrix.store.settle import set_aside, write_result
from matrix.store.sweep_record import timestamp

POLL = 0.02  # seconds
STACKS = 0.5  # seconds for the processes of a hung run to print their stacks
PORTS = 3  # ports that a run is started on if other programs take them between their choice and their use
GRACE = 5.0  # seconds for the other processes to write their evidence after one has failed


Fault = StuckError | LostHostError | LostClaimError | KeyboardInterrupt
"""Why a runner stops after an attempt."""

MAY_BE_THE_HOST = (Outcome.CRASHED, Outcome.HUNG, Outcome.LAUNCH_FAILED, Outcome.TIMEOUT)
"""Outcomes that the death of a host can also cause."""


class Watching(Protocol):
    """Receives the progress of an attempt, to show it."""

    def started(self, run: Run) -> None:
        """Handle the start of a run."""

    def beat(self, run: Run, heartbeat: Heartbeat) -> None:
        """Handle progress of a run."""


class Attempts:
    """Makes the attempts of one runner. Arguments as `SweepRunner`."""

    def __init__(
        self,
        launcher: Launcher,
        claim: Claim,
        observer: Watching,
        *,
        allocation: Allocation | None,
        preflight: Preflight | None,
    ) -> None:
        self._launcher = launcher
        self._claim = claim
        self._observer = observer
        self._allocation = allocation
        self._preflight = preflight
        self._positions = count(1)
        self._session = f"{f'job {allocation.job}, ' if allocation else ''}runner {claim.number}"

    def make(self, run: Run, folder: RunFolder, show: Callable[[Result], None]) -> Result:
        """Start a run, on up to `PORTS` ports if other programs have them; write and show the last attempt's outcome.

        Raises:
            KeyboardInterrupt, StuckError, LostHostError, LostClaimError, OSError: as `SweepRunner.run_all`.

        """
        for tried in range(PORTS):
            attempt, start = self._new_attempt(run, folder)
            if tried == 0:
                self._observer.started(run)
            begin = time.monotonic()
            verdict, fault = self._tried(run, folder, attempt)
            if fault or not verdict.port_taken:
                break
        else:
            verdict = replace(verdict, reason=f"{verdict.reason}, as in {PORTS - 1} attempts before with other ports")
        seconds = time.monotonic() - begin
        result = write_result(folder, verdict, claim=self._claim, attempt=attempt.number, start=start, seconds=seconds)
        show(result)
        if fault:
            raise fault
        return result

    def without(self, run: Run, folder: RunFolder, verdict: Verdict) -> Result:
        """Write the outcome of a run that is not started."""
        attempt, start = self._new_attempt(run, folder)
        return write_result(folder, verdict, claim=self._claim, attempt=attempt.number, start=start, seconds=0.0)

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

    def _new_attempt(self, run: Run, folder: RunFolder) -> tuple[AttemptFolder, AttemptStart]:
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
        return attempt, start

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


def _without_blame(verdict: Verdict) -> Verdict:
    """Return the verdict on a run that lost a host: `interrupted`, whatever it looks like."""
    return replace(verdict, outcome=Outcome.INTERRUPTED, reason=f"a host was lost: {verdict.reason}")


def _written(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
