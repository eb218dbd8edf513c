"""Runs that xFFL's own launcher starts: `xffl exec`, which reaches every node over ssh.

It tells little and ends nothing: its exit status says nothing of the training, it waits for the ranks that live when
others have died, and where it is ended itself all ranks go on. So ranks leave their exit statuses as files, and a run
is ended host by host, by what its processes carry in their environment.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Sequence

from bench.contract.files import AttemptFolder, RunFolder
from bench.contract.run import Run
from matrix.host.processes import ask_for_stacks, end_all
from matrix.host.variables import marks
from matrix.image.image import Image
from matrix.launchers.base import Launched, LaunchError, UncleanHostError, free_port, signalled
from matrix.launchers.remote import Hosts
from matrix.launchers.status_files import OF_NODE, OF_RANK, kept
from matrix.launchers.xffl_scripts import Scripts
from matrix.launchers.xffl_site import Site

PROGRAM = "xffl exec"

SUFFIX = "-xffl"
"""What tells this launcher's processes from the warm process of the same runner, which outlives its runs."""

LOOK_EVERY = 0.1
"""Seconds between two looks into the folder of the ranks' exit statuses, which may be on another machine."""

LATE = 60.0
"""Seconds until every host's files are seen here; network file systems keep what they know of a folder for so long."""


class _Run:
    """A run that `xffl exec` has begun to start."""

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
        """Where this machine plays all nodes."""
        return self._launcher.is_loopback

    def statuses(self) -> dict[str, int]:
        """Of the ranks, as their nodes' shells have kept them, of each node's ssh, and of `xffl exec`."""
        now = time.monotonic()
        if len(self._ranks) < self._world and now - self._looked >= LOOK_EVERY:
            self._looked = now
            self._ranks |= kept(self._attempt, OF_RANK, known=self._ranks)
            self._nodes |= kept(self._attempt, OF_NODE, known=self._nodes)
        found = {f"rank {rank}": signalled(status) for rank, status in sorted(self._ranks.items())}
        if not self._attempt.heartbeat.exists():  # until all ranks have met, a node that is missing is the end
            found |= {f"ssh to node {node} ({self._hosts[node]})": status for node, status in self._nodes.items()}
        if (ended := self._process.poll()) is not None:
            self._ended = self._ended or now
            found[PROGRAM] = ended
        return found

    def is_over(self) -> bool:
        """Once `xffl exec` has ended and every rank: where it ended well, their statuses are only late."""
        statuses = self.statuses()
        if PROGRAM not in statuses:
            return False
        return len(self._ranks) == self._world or (statuses[PROGRAM] == 0 and time.monotonic() - self._ended > LATE)

    def dump_stacks(self) -> None:
        """By signal, on every host."""
        self._launcher.dump_stacks(self._hosts)

    def stop(self) -> list[str]:
        """Kill `xffl exec`, and on every host the shells and ranks."""
        if not self.is_over():
            with contextlib.suppress(OSError):  # on a full disk the rest is the more needed
                (self._attempt.path / "over").touch()  # a node that ssh reaches only now starts nothing
        self._process.kill()
        self._process.wait()
        return self._launcher.end(self._hosts)


class XfflLauncher:
    """Calls `xffl exec`, run after run."""

    def __init__(self, owner: str, commit: str, site: Site, image: Image | None = None) -> None:
        self._owner = f"{owner}{SUFFIX}"
        self._marks = marks(self._owner, commit)
        self._site = site
        self._image = image
        self._reached = Hosts(site.ssh, site.settings.ssh_options, site.python)
        self._unclean: set[str] = set()
        self._under_way: list[str] = []

    def hosts_of(self, run: Run) -> list[str]:
        """Where the nodes of a run are, in node order."""
        return self._site.settings.hosts_of(run.nodes)

    @property
    def is_loopback(self) -> bool:
        """Whether this machine plays all nodes."""
        return self._site.settings.is_loopback

    def end_earlier(self, sweep: str, hosts: Sequence[str]) -> list[str]:
        """End what earlier runners of a sweep (its owners begin with `sweep`) left on hosts; returns a sentence for
        each host that could not be reached. No run starts there before it was.
        """
        return self._end(hosts, sweep)

    def start(self, run: Run, folder: RunFolder, attempt: AttemptFolder) -> Launched:
        """Write the scripts, and call it."""
        hosts = self.hosts_of(run)
        self._clean(hosts)
        scripts = Scripts(run, folder, attempt, self._site, self._image)
        try:
            scripts.write(self._owner, free_port(), self._marks)
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
                    env=os.environ | self._marks | own,
                    start_new_session=True,  # a Ctrl-C in the terminal is the runner's to deal with
                )
        except OSError as error:
            raise LaunchError(f"cannot start {PROGRAM}: {error}") from error
        return _Run(self, process, run, attempt)

    def dump_stacks(self, hosts: Sequence[str]) -> None:
        """Have ranks print where they are."""
        ask_for_stacks(self._owner)
        if not self._site.settings.is_loopback:
            self._reached.ask_for_stacks(hosts, self._owner)

    def end(self, hosts: Sequence[str]) -> list[str]:
        """End everything of this runner here and on hosts; returns a sentence for each that could not be reached."""
        try:
            end_all(self._owner)
        finally:  # where something is stuck here, the other hosts are still to be cleaned
            wrong = self._end(hosts, self._owner)
            self._under_way = []  # only now: an interruption on the way leaves them to `close`
        return wrong

    def close(self) -> None:
        """Nothing is kept between runs; what an interruption left half started is ended, and hosts that could not be
        reached are tried once more.
        """
        self.end([*self._under_way, *self._unclean])

    def _clean(self, hosts: Sequence[str]) -> None:
        """Raises UncleanHostError: a host that may still have processes of an earlier run cannot be cleaned."""
        unclean = [host for host in hosts if host in self._unclean]
        sweep, _, _ = self._owner.partition("/")
        if wrong := self._end(unclean, f"{sweep}/", spare_owner=self._owner.removesuffix(SUFFIX)):
            raise UncleanHostError("; ".join(wrong))

    def _end(self, hosts: Sequence[str], owner: str, spare_owner: str | None = None) -> list[str]:
        wrong = self._reached.end(hosts, owner, spare_owner=spare_owner)
        self._unclean = self._unclean.difference(hosts).union(wrong)
        return [
            f"host {host} could not be reached to end what is left of earlier runs there: {why}"
            for host, why in wrong.items()
        ]
