"""Following what a launcher started: until it ends by itself, or has to be ended."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from bench.contract.results.result import Heartbeat
from bench.contract.run import Run
from bench.contract.storage.files import AttemptFolder
from matrix.errors import LostClaimError, LostHostError
from matrix.host.processes import StuckError
from matrix.launchers.base import Launched
from matrix.runner.rank_ends import FailedRanks
from matrix.store.claim import BEAT_EVERY, Claim
from matrix.store.judge import Attempted, Ending

POLL = 0.02  # seconds
STACKS = 0.5  # seconds for the processes of a hung run to print their stacks
GRACE = 5.0  # seconds for the other processes to write their evidence after one has failed

Fault = StuckError | LostHostError | LostClaimError | KeyboardInterrupt
"""Why a runner stops after an attempt."""


def follow(
    run: Run, attempt: AttemptFolder, launched: Launched, claim: Claim, heard: Callable[[Heartbeat], None]
) -> tuple[Attempted, list[str], Fault | None]:
    """Follow the processes of an attempt within the limits of `run`, and end them.

    Args:
        heard: called with each new heartbeat of rank 0.

    Returns how the attempt ended, a sentence for each host where that is unknown, and the exception to raise after its
    outcome is written.

    """
    fault: Fault | None = None
    try:
        ending = _until_end(run, attempt, launched, claim, heard)
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


def _until_end(
    run: Run, attempt: AttemptFolder, launched: Launched, claim: Claim, heard: Callable[[Heartbeat], None]
) -> Ending:
    """Watch an attempt until its processes have ended, or until it must be ended."""
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
                claim.check()
        if failed_at is None and (any(launched.statuses().values()) or ranks.any()):
            failed_at = now
        if failed_at is not None and now - failed_at > GRACE:
            return Ending.ITSELF
        if (written := _written(attempt)) != sign_of_life:
            sign_of_life, last_sign = written, now
            if beat := attempt.last_heartbeat():
                heard(beat)
        if now - begin > run.limits.run_seconds:
            return Ending.TIMEOUT
        if now - last_sign > run.limits.hang_seconds:
            return Ending.HANG
        time.sleep(POLL)


def _written(attempt: AttemptFolder) -> int:
    try:
        return attempt.heartbeat.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
