"""Start runs with xFFL's own launcher, `xffl exec`, which reaches every node over ssh.

Its exit status says nothing about the training, it keeps waiting for living ranks when others have died, and when it is
killed all ranks continue. So ranks write their exit statuses to files, and a run is ended host by host, by the owner in
the environment of its processes.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Sequence

from bench.contract.run import Run
from bench.contract.storage.files import AttemptFolder, RunFolder
from matrix.host.processes import ask_for_stacks, end_all
from matrix.host.variables import ownership_variables
from matrix.image.image import Image
from matrix.launchers.base import Launched, LaunchError, UncleanHostError, free_port, signalled
from matrix.launchers.remote import Hosts
from matrix.launchers.status_files import OF_NODE, OF_RANK, kept
from matrix.launchers.xffl_scripts import Scripts
from matrix.launchers.xffl_site import Site
from matrix.store.judge import Process

PROGRAM = Process("xffl exec")

SUFFIX = "-xffl"
"""Owner suffix that separates this launcher's processes from the runner's warm process, which outlives its runs."""

LOOK_EVERY = 0.1
"""Seconds between two scans of the folder of exit statuses, which may be on a network file system."""

LATE = 60.0
"""Seconds until files from all hosts are visible here; network file systems cache directories for up to this long."""


class _Run:
    """A run started by `xffl exec`."""

    def __init__(
        self, launcher: XfflLauncher, process: subprocess.Popen[bytes], run: Run, attempt: AttemptFolder
    ) -> None:
        self._launcher = launcher
        self._process = process
        self._hosts = launcher.hosts_of(run)
        self._world = run.world
        self._attempt = attempt
        self._ranks: dict[int, int] = {}
        self._nodes: dict[int, int] = {}
        self._looked = self._ended = 0.0

    @property
    def is_here(self) -> bool:
        """True if all nodes are on this machine."""
        return self._launcher.is_loopback

    def statuses(self) -> dict[Process, int]:
        """Return the statuses of ranks, written by their nodes' shells, of each node's ssh, and of `xffl exec`."""
        now = time.monotonic()
        if len(self._ranks) < self._world and now - self._looked >= LOOK_EVERY:
            self._looked = now
            self._ranks |= kept(self._attempt, OF_RANK, known=self._ranks)
            self._nodes |= kept(self._attempt, OF_NODE, known=self._nodes)
        found = {Process.of_rank(rank): signalled(status) for rank, status in sorted(self._ranks.items())}
        if not self._attempt.heartbeat.exists():  # before all ranks have connected, a missing node is fatal
            reached = {Process(f"ssh to node {node} ({self._hosts[node]})"): each for node, each in self._nodes.items()}
            found |= reached
        if (ended := self._process.poll()) is not None:
            self._ended = self._ended or now
            found[PROGRAM] = ended
        return found

    def is_over(self) -> bool:
        """Return True if `xffl exec` and all ranks have ended.

        If it succeeded, missing statuses of ranks are awaited for `LATE` seconds.
        """
        statuses = self.statuses()
        if PROGRAM not in statuses:
            return False
        return len(self._ranks) == self._world or (statuses[PROGRAM] == 0 and time.monotonic() - self._ended > LATE)

    def memory_line(self) -> str:
        """Return nothing: a scheduler writes of its own steps only."""
        return ""

    def dump_stacks(self) -> None:
        """Signal the ranks on every host."""
        self._launcher.dump_stacks(self._hosts)

    def stop(self) -> list[str]:
        """Kill `xffl exec`, and the shells and ranks on every host."""
        if not self.is_over():
            with contextlib.suppress(OSError):  # on a full disk, still do the rest
                (self._attempt.path / "over").touch()  # keeps nodes that ssh reaches only now from starting
        self._process.kill()
        self._process.wait()
        return self._launcher.end(self._hosts)


class XfflLauncher:
    """Starts each run with `xffl exec`."""

    def __init__(self, owner: str, commit: str, site: Site, image: Image | None = None) -> None:
        self._owner = f"{owner}{SUFFIX}"
        self._ownership = ownership_variables(self._owner, commit)
        self._site = site
        self._image = image
        self._reached = Hosts(site.ssh, site.settings.ssh_options, site.python)
        self._unclean: set[str] = set()
        self._under_way: list[str] = []

    def hosts_of(self, run: Run) -> list[str]:
        """Return the hosts of a run, in node order."""
        return self._site.settings.hosts_of(run.nodes)

    @property
    def is_loopback(self) -> bool:
        """True if all nodes are on this machine."""
        return self._site.settings.is_loopback

    def end_earlier(self, sweep: str, hosts: Sequence[str]) -> list[str]:
        """End processes that earlier runners of a sweep (owner prefix `sweep`) left on hosts.

        Returns a sentence for each host that could not be reached. No run starts on such a host until it is cleaned.
        """
        return self._end(hosts, sweep)

    def start(self, run: Run, folder: RunFolder, attempt: AttemptFolder) -> Launched:
        """Write the scripts and start `xffl exec`."""
        hosts = self.hosts_of(run)
        self._clean(hosts)
        scripts = Scripts(run, folder, attempt, self._site, self._image)
        try:
            scripts.write(self._owner, free_port(), self._ownership)
            path = [str(scripts.ssh_folder), os.environ.get("PATH", os.defpath)]
            own = {"PATH": os.pathsep.join(path), "XFFL_BENCH_ATTEMPT": str(attempt.path.absolute())}
            own |= {"PYTHONSAFEPATH": "1"}  # nothing in the working directory is code
            self._under_way = hosts
            with (attempt.logs / "xffl.log").open("wb") as log:
                process = subprocess.Popen(
                    scripts.command(scripts.facility(self._owner)),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=os.environ | self._ownership | own,
                    start_new_session=True,  # the runner handles a Ctrl-C in the terminal
                )
        except OSError as error:
            raise LaunchError(f"cannot start {PROGRAM}: {error}") from error
        return _Run(self, process, run, attempt)

    def dump_stacks(self, hosts: Sequence[str]) -> None:
        """Make ranks print their stacks."""
        ask_for_stacks(self._owner)
        if not self._site.settings.is_loopback:
            self._reached.ask_for_stacks(hosts, self._owner)

    def end(self, hosts: Sequence[str]) -> list[str]:
        """End all processes of this runner, here and on hosts; return a sentence for each host not reached."""
        try:
            end_all(self._owner)
        finally:  # if something is stuck here, still clean up the other hosts
            wrong = self._end(hosts, self._owner)
            self._under_way = []  # only now: after an interruption `close` cleans up these hosts
        return wrong

    def close(self) -> None:
        """End processes of a run whose start was interrupted, and retry hosts that could not be reached."""
        self.end([*self._under_way, *self._unclean])

    def _clean(self, hosts: Sequence[str]) -> None:
        """Clean up hosts that may still have processes of an earlier run.

        Raises:
            UncleanHostError: such a host cannot be reached.

        """
        unclean = [host for host in hosts if host in self._unclean]
        sweep, _, _ = self._owner.partition("/")
        if wrong := self._end(unclean, f"{sweep}/", spare_owner=self._owner.removesuffix(SUFFIX)):
            raise UncleanHostError("; ".join(wrong))

    def _end(self, hosts: Sequence[str], owner: str, spare_owner: str | None = None) -> list[str]:
        wrong = self._reached.end(hosts, owner, spare_owner=spare_owner)
        self._unclean = self._unclean.difference(hosts).union(wrong)
        return [
            f"host {host} could not be reached to end processes of earlier runs: {why}" for host, why in wrong.items()
        ]
