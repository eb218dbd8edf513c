"""Attempts at runs, and at trials: each with exactly one outcome whatever happens."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Protocol

from bench.contract.results.outcomes import Outcome
from bench.contract.results.preflight import Preflight
from bench.contract.results.result import Allocation, AttemptStart, Heartbeat, Result
from bench.contract.run import Run
from bench.contract.storage.files import AttemptFolder, RunFolder, write_document
from bench.measure.outliers import compared, slow_hosts
from matrix.errors import LostHostError
from matrix.host.processes import oom_kills
from matrix.launchers.base import Launcher, LaunchError, UncleanHostError
from matrix.runner.following import Fault, follow
from matrix.runner.ports import on_free_port
from matrix.store.claim import Claim
from matrix.store.judge import Verdict, judge
from matrix.store.settle import set_aside, write_result
from matrix.store.sweep_record import timestamp

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
        """Start a run, again if another program has its port; write and show the last attempt's outcome.

        Raises:
            KeyboardInterrupt, StuckError, LostHostError, LostClaimError, OSError: as `SweepRunner.run_all`.

        """

        def attempt() -> tuple[Verdict, tuple[AttemptFolder, AttemptStart, float, Fault | None]]:
            made, start = self._new_attempt(run, folder)
            begin = time.monotonic()
            verdict, fault = self._tried(run, folder, made)
            return verdict, (made, start, time.monotonic() - begin, fault)

        self._observer.started(run)
        verdict, (made, start, seconds, fault) = on_free_port(attempt)
        result = write_result(folder, verdict, claim=self._claim, attempt=made.number, start=start, seconds=seconds)
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
            ended, lost, fault = follow(run, attempt, launched, self._claim, partial(self._observer.beat, run))
            oom = oom_kills() - kills if launched.is_here else None
            verdict = judge(run, attempt, replace(ended, oom_kills=oom, memory_line=launched.memory_line()))
            verdict = replace(verdict, evidence=[*verdict.evidence, *lost])
            if verdict.measured is not None and self._preflight is not None:
                verdict = replace(verdict, measured=compared(run, verdict.measured, self._preflight))
        if lost and self._allocation and not fault and verdict.outcome in MAY_BE_THE_HOST:
            fault, verdict = LostHostError(lost[0]), _without_blame(verdict)
        return replace(verdict, port_taken=verdict.port_taken and fault is None), fault  # after a fault nothing starts

    def _new_attempt(self, run: Run, folder: RunFolder) -> tuple[AttemptFolder, AttemptStart]:
        attempt = next_attempt(folder, self._claim)
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


def next_attempt(folder: RunFolder, claim: Claim) -> AttemptFolder:
    """Create the folder of the next attempt, which no other runner uses.

    Raises:
        LostClaimError: another runner took the sweep, or the job.

    """
    attempts = folder.attempts()
    number = attempts[-1].number + 1 if attempts else 0
    while True:
        claim.check()
        with contextlib.suppress(FileExistsError):  # of a runner without the claim, or NFS repeated the request
            folder.attempt(number).create(new=True)
            return folder.attempt(number)
        number += 1


def _without_blame(verdict: Verdict) -> Verdict:
    """Return the verdict on a run that lost a host: `interrupted`, whatever it looks like."""
    return replace(verdict, outcome=Outcome.INTERRUPTED, reason=f"a host was lost: {verdict.reason}")
