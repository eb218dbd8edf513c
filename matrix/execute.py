"""`xffl-bench run`: from a planned sweep to its results, under one claim and without leaving anything behind."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from rich.console import Console

from matrix.display import Display
from matrix.launchers.torchrun import Launcher, TorchrunLauncher, WarmLauncher
from matrix.ownership import Claim, Runner, claim
from matrix.prepare import Prepared
from matrix.processes import end_all
from matrix.runner import Summary, SweepRunner
from matrix.store import SweepFolder, SweepRecord
from matrix.system import SystemFile


def execute(
    prepared: Prepared,
    folder: SweepFolder,
    console: Console,
    *,
    max_runs: int | None,
    retry_failed: bool,
    accept_changes: bool,
) -> Summary:
    """Run the selected runs of a sweep that have no final result yet.

    Raises:
        InputError: the sweep was begun with another matrix, system, data set or software.
        LostClaimError: another runner took the sweep meanwhile.
        StuckError: processes could not be ended.
        KeyboardInterrupt: interrupted by SIGINT or SIGTERM; everything that was started is ended.
        OSError: results could not be written; what was measured before is kept.

    """

    def waiting(runner: Runner) -> None:
        console.print(
            f"{folder.path} is being run by process {runner.pid} on {runner.host} since {runner.since}; waiting for it"
        )

    with _stop_signals(), claim(folder.runners, waiting) as own:
        frozen = folder.begin(prepared.record(), prepared.planned.plan, accept_changes=accept_changes)
        owner = f"{folder.owner(frozen)}{own.number}"
        orphans = end_all(folder.owner(frozen), spare_owner=owner)
        if orphans:
            console.print(f"ended {orphans} processes that an earlier runner of this sweep left behind")
        launcher = _launcher(prepared.system, owner, frozen, folder, own)
        try:
            with Display(console, len(prepared.selected)) as display:
                runner = SweepRunner(folder, launcher, own, display)
                runner.settle(prepared.planned.plan.order)
                return runner.run_all(prepared.selected_runs, max_runs=max_runs, retry_failed=retry_failed)
        finally:
            launcher.close()


def _launcher(system: SystemFile, owner: str, record: SweepRecord, folder: SweepFolder, own: Claim) -> Launcher:
    commit = f"{record.commit} {'dirty' if record.dirty else 'clean'}" if record.commit else ""
    if system.is_warm:
        return WarmLauncher(owner, commit, folder.runners / f"{own.number:06d}.log")
    return TorchrunLauncher(owner, commit)


@contextmanager
def _stop_signals() -> Iterator[None]:
    """SIGINT and SIGTERM interrupt once; more of them do not disturb the cleaning up."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    signals = (signal.SIGINT, signal.SIGTERM)
    before = {each: signal.signal(each, interrupt) for each in signals}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
