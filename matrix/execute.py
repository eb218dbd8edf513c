"""`xffl-bench run`: from a planned sweep to its results, under one claim and without leaving anything behind."""

from __future__ import annotations

import functools
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Literal

from rich.console import Console

from bench import contract
from bench.contract import Library, Run
from matrix.display import Display
from matrix.interpreter import Python
from matrix.launchers.chosen import ChosenLauncher
from matrix.launchers.launcher import Launcher
from matrix.launchers.torchrun import TorchrunLauncher, WarmLauncher
from matrix.launchers.xffl import XfflLauncher
from matrix.ownership import Runner, claim
from matrix.prepare import Prepared
from matrix.probe import library
from matrix.processes import end_all
from matrix.runner import Summary, SweepRunner
from matrix.store import SweepFolder
from matrix.systems.xffl import Site, check_paths, find_site


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
        InputError: the sweep was begun with another matrix, system, data set or software; or `xffl exec` is to start
            runs, and is not there or cannot take the paths of this machine; or the xFFL library is to train, and is not
            there.
        LostClaimError: another runner took the sweep meanwhile.
        StuckError: processes could not be ended.
        KeyboardInterrupt: interrupted by SIGINT or SIGTERM; everything that was started is ended.
        OSError: results could not be written; what was measured before is kept.

    """

    def waiting(runner: Runner) -> None:
        console.print(
            f"{folder.path} is being run by process {runner.pid} on {runner.host} since {runner.since}; waiting for it"
        )

    site = _site(prepared, folder)
    runs = _with_library(prepared, site, console)
    with _stop_signals(), claim(folder.runners, waiting) as own:
        frozen = folder.begin(prepared.record(), prepared.planned.plan, accept_changes=accept_changes)
        owner = f"{folder.owner(frozen)}{own.number}"
        orphans = end_all(folder.owner(frozen), spare_owner=owner)
        if orphans:
            console.print(f"ended {orphans} processes that an earlier runner of this sweep left behind")
        commit = f"{frozen.commit} {'dirty' if frozen.dirty else 'clean'}" if frozen.commit else ""
        makers: dict[contract.Launcher, Callable[[], Launcher]] = {
            "torchrun": lambda: _agents(prepared, owner, commit, folder.runners / f"{own.number:06d}.log")
        }
        if site is not None:
            over_ssh = XfflLauncher(owner, commit, site, prepared.image)
            for sentence in over_ssh.end_earlier(folder.owner(frozen), _hosts(prepared, site)):
                console.print(sentence, highlight=False)
            makers["xffl"] = lambda: over_ssh
        launcher = ChosenLauncher(makers)
        try:
            with Display(console, len(prepared.selected)) as display:
                runner = SweepRunner(folder, launcher, own, display)
                runner.settle(prepared.planned.plan.order)
                return runner.run_all(runs, max_runs=max_runs, retry_failed=retry_failed)
        finally:
            launcher.close()


def _over_ssh(prepared: Prepared) -> list[Run]:
    return [run for run in prepared.selected_runs if run.launcher == "xffl"]


def _site(prepared: Prepared, folder: SweepFolder) -> Site | None:
    """Where `xffl exec` starts runs, None where none of the selected ones wants it."""
    runs = _over_ssh(prepared)
    if not runs:
        return None
    site = find_site(prepared.system.xffl)
    check_paths(site, folder.path, runs)
    return site


def _with_library(prepared: Prepared, site: Site | None, console: Console) -> list[Run]:
    """The selected runs; those that the xFFL library trains know what the one that is installed really does."""
    runs = prepared.selected_runs
    if all(run.engine != "xffl" for run in runs):
        return runs
    console.print("looking at what the installed xFFL does (the first time, up to half a minute)", highlight=False)
    command = site.command if site and prepared.image is None else None

    @functools.cache
    def found(python: Python, device: Literal["cpu", "cuda"]) -> Library:
        return library(python, command, device)

    def known(run: Run) -> Library:
        python = site.python if site and run.launcher == "xffl" else Path(sys.executable)
        device = run.system.device
        return found(prepared.image.python(device) if prepared.image else python, device)

    return [run.model_copy(update={"library": known(run)}) if run.engine == "xffl" else run for run in runs]


def _hosts(prepared: Prepared, site: Site) -> list[str]:
    return site.settings.hosts_of(max(run.nodes for run in _over_ssh(prepared)))


def _agents(prepared: Prepared, owner: str, commit: str, log: Path) -> Launcher:
    if prepared.system.is_warm:
        return WarmLauncher(owner, commit, log)
    return TorchrunLauncher(owner, commit, prepared.image)


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
