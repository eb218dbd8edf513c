"""Runs on the hosts of the runner: this machine, hosts reached by ssh, or those of an allocation."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console

from bench.contract.base import LauncherName
from bench.contract.results.preflight import Preflight
from bench.contract.run import Library, Run
from matrix.config.system import SystemFile
from matrix.host.processes import end_all
from matrix.image.image import Image
from matrix.launchers.base import Launcher
from matrix.launchers.dispatch import ChosenLauncher
from matrix.launchers.srun import SrunLauncher
from matrix.launchers.torchrun import TorchrunLauncher
from matrix.launchers.warm import WarmLauncher
from matrix.launchers.xffl_exec import XfflLauncher
from matrix.launchers.xffl_site import Site, check_paths, find_site
from matrix.runner.progress import Detail, SweepDisplay
from matrix.runner.runner import Summary, SweepRunner, always
from matrix.schedulers.base import HeldAllocation
from matrix.schedulers.dispatch import scheduler_of
from matrix.store.claim import Claim
from matrix.store.settle import LostJob, settle
from matrix.store.sweep_folder import SweepFolder
from matrix.store.sweep_record import SweepRecord
from matrix.xffl.interpreter import Python
from matrix.xffl.probe import cached, probe, refusal


@dataclass(frozen=True)
class Here:
    """Where runs are executed, and by which runner.

    Attributes:
        system: system file; inside an allocation, xffl.hosts are the allocation's hosts.
        claim: claim on the sweep, or on one of its jobs.
        owners: prefix of the owners of this claim's processes.
        held: allocation of this process, None without one.
        detail: what is printed about runs.
        dead: owners of earlier jobs; the scheduler may not have ended their processes started over ssh.

    """

    folder: SweepFolder
    record: SweepRecord
    system: SystemFile
    image: Image | None
    claim: Claim
    owners: str
    held: HeldAllocation | None
    console: Console
    dead: tuple[str, ...] = ()
    detail: Detail = Detail.OUTCOMES

    @property
    def owner(self) -> str:
        """Owner of this runner's processes."""
        return f"{self.owners}{self.claim.number}"

    @property
    def commit(self) -> str:
        """Commit of the training code and its state, in the format of XFFL_BENCH_COMMIT."""
        return self.record.code.text()

    @property
    def has_steps(self) -> bool:
        """True if agents are started on the allocation's nodes by srun; else all nodes are on this machine."""
        scheduler = scheduler_of(self.system)
        return self.held is not None and scheduler is not None and scheduler.agents == "srun"

    @property
    def agents_log(self) -> Path:
        """Log of the warm process, which outlives runs."""
        return self.claim.folder / f"{self.claim.number:06d}.log"


def site_of(system: SystemFile, folder: SweepFolder, runs: list[Run]) -> Site | None:
    """Return the site of `xffl exec`, None if no run uses it.

    Raises:
        InputError: xFFL is not installed, or cannot handle the paths of this machine.

    """
    over_ssh = [run for run in runs if run.launcher == "xffl"]
    if not over_ssh:
        return None
    site = find_site(system.xffl)
    check_paths(site, folder.path, over_ssh)
    return site


def with_library(runs: list[Run], site: Site | None, image: Image | None, console: Console) -> list[Run]:
    """Return the runs; those with engine xffl get the findings of the probe of the installed xFFL library.

    Raises:
        InputError: the library is not installed.

    """

    def announce() -> None:
        console.print("probing the installed xFFL library (once, up to half a minute)", highlight=False)

    @functools.cache
    def found(python: Python, command: Path | None, device: Literal["cpu", "cuda"]) -> Library:
        return probe(python, command, device, announce=announce).library

    return [
        run.model_copy(update={"library": found(*_library_of(run, site, image))}) if run.engine == "xffl" else run
        for run in runs
    ]


def refused(runs: list[Run], site: Site | None, image: Image | None) -> dict[str, str]:
    """Return the ids of runs of engine xffl that will not be started, with the reason, as far as cached findings tell.

    Raises:
        InputError: the environment of a run cannot be queried.

    """
    found = functools.cache(cached)
    kept = [found(*_library_of(run, site, image)) for run in runs]
    return {
        run.id: reason
        for run, probed in zip(runs, kept, strict=True)
        if probed and (reason := refusal(run.model_copy(update={"library": probed.library})))
    }


def _library_of(run: Run, site: Site | None, image: Image | None) -> tuple[Python, Path | None, Literal["cpu", "cuda"]]:
    """Return the arguments of the probe of a run's library."""
    device = run.system.device
    python = site.python if site and run.launcher == "xffl" else Path(sys.executable)
    return image.python(device) if image else python, site.command if site and image is None else None, device


def run_here(
    here: Here,
    runs: list[Run],
    site: Site | None,
    *,
    to_settle: list[str],
    max_runs: int | None = None,
    retry_failed: bool = False,
    death: LostJob | None = None,
    preflight: Preflight | None = None,
    hindrance: Callable[[Run], str] = always,
) -> Summary:
    """Clean up after earlier runners, then execute the runs without a final result.

    Args:
        to_settle: ids of runs that a dead runner may have left without an outcome.
        death: how that runner's job ended, if known.
        preflight: what was measured of this job's nodes before its runs, if it was.
        hindrance: as `SweepRunner`.

    Raises:
        LostClaimError: another runner took the sweep.
        LostHostError: a host of the allocation no longer answers.
        StuckError: processes could not be ended.
        KeyboardInterrupt: interrupted; all started processes are ended.
        OSError: results could not be written; earlier results are kept.

    """
    launchers = _launchers(here, site, runs)
    launcher = ChosenLauncher(launchers)
    try:
        with SweepDisplay(here.console, len(runs), here.detail) as display:
            for result in settle(here.folder, to_settle, death, claim=here.claim):
                display.ended(result)
            runner = SweepRunner(
                here.folder,
                launcher,
                here.claim,
                display,
                allocation=here.held.allocation if here.held else None,
                hindrance=hindrance,
                preflight=preflight,
            )
            return runner.run_all(runs, max_runs=max_runs, retry_failed=retry_failed)
    finally:
        launcher.close()


def _launchers(here: Here, site: Site | None, runs: list[Run]) -> dict[LauncherName, Callable[[], Launcher]]:
    """End processes left by earlier runners; return the launchers that the runs need."""
    orphans = end_all(here.owners, spare_owner=here.owner)
    if orphans:
        here.console.print(f"ended {orphans} processes that an earlier runner of this sweep left behind")
    if here.has_steps and here.claim.number > 1:
        for sentence in srun_of(here).end_earlier(here.owners):
            here.console.print(sentence, highlight=False)
    makers: dict[LauncherName, Callable[[], Launcher]] = {"torchrun": lambda: _agents(here)}
    if site is not None:
        over_ssh = XfflLauncher(here.owner, here.commit, site, here.image)
        most = max(run.nodes for run in runs if run.launcher == "xffl")
        for owners in (here.owners, *here.dead):
            for sentence in over_ssh.end_earlier(owners, site.settings.hosts_of(most)):
                here.console.print(sentence, highlight=False)
        makers["xffl"] = lambda: over_ssh
    return makers


def _agents(here: Here) -> Launcher:
    if here.has_steps:
        return srun_of(here)
    if here.system.is_warm:
        return WarmLauncher(here.owner, here.commit, here.agents_log)
    return TorchrunLauncher(here.owner, here.commit, here.image)


def srun_of(here: Here) -> SrunLauncher:
    """Return a launcher for the hosts of the allocation, which `here` must have."""
    assert here.held is not None
    return SrunLauncher(here.owner, here.commit, here.system, here.held.allocation.hosts, here.image)
