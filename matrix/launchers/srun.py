"""Torchrun agents on the hosts of a Slurm allocation: one `srun` per run, one task of it per node.

When a step's tasks end, Slurm ends their remaining processes. To stop a run early, a second step ends all processes of
the run's owner on every host.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence

from bench.contract.run import Run
from bench.contract.storage.files import AttemptFolder, RunFolder
from matrix.config.system import SystemFile
from matrix.host.calls import call, complaint
from matrix.host.processes import STUCK, end_all
from matrix.host.variables import environment, ownership_variables
from matrix.image.image import Image
from matrix.launchers.base import Launched, LaunchError, free_port, signalled
from matrix.launchers.status_files import OF_NODE, kept
from matrix.launchers.torchrun import statuses_by_agent
from matrix.schedulers.slurm.header import cores_per_node
from matrix.schedulers.slurm.states import out_of_memory_line
from matrix.store.judge import Process

STARTED = 120.0
"""Seconds for a step that ends processes: each node loads an interpreter from a busy file system."""

LOOK_EVERY = 0.1
"""Seconds between polls of the agents' exit statuses, which are on a network file system."""

LEAVING = 10.0
"""Seconds for srun to exit after its tasks have ended."""


def step(hosts: Sequence[str], system: SystemFile) -> list[str]:
    """Return the srun command prefix that runs a command once on every host."""
    return [
        "srun",
        "--export=ALL",
        f"--nodes={len(hosts)}",
        f"--ntasks={len(hosts)}",
        "--ntasks-per-node=1",
        f"--nodelist={','.join(hosts)}",
        f"--cpus-per-task={cores_per_node(system)}",
        "--cpu-bind=none",  # ranks pin themselves, in the same way under every launcher
        "--overlap",
        "--kill-on-bad-exit=0",  # other ranks need time to report the error
        "--mpi=none",
        *system.slurm.srun,
    ]


def agent_words(hosts: Sequence[str], port: int, store_port: int | None) -> list[str]:
    """Return the last arguments of an agent's command, which are the same on every host."""
    return [
        *("--among", ",".join(hosts), "--node-name-in", "SLURMD_NODENAME"),
        *("--master-addr", hosts[0], "--master-port", str(port), "--with-parent"),
        *(("--fork", "--store-port", str(store_port)) if store_port is not None else ()),
    ]


class Step:
    """A run whose agents are started by srun."""

    def __init__(
        self, launcher: SrunLauncher, process: subprocess.Popen[bytes], nodes: int, attempt: AttemptFolder
    ) -> None:
        self._launcher = launcher
        self._process = process
        self._total = nodes
        self._attempt = attempt
        self._nodes: dict[int, int] = {}
        self._looked = 0.0

    @property
    def is_here(self) -> bool:
        """False: out-of-memory kills are counted by the kernels of other hosts."""
        return False

    def statuses(self) -> dict[Process, int]:
        """Return the exit statuses of agents, from their files, and of srun."""
        now = time.monotonic()
        if len(self._nodes) < self._total and now - self._looked >= LOOK_EVERY:
            self._looked = now
            self._nodes |= kept(self._attempt, OF_NODE, known=self._nodes)
        found = statuses_by_agent({node: signalled(status) for node, status in sorted(self._nodes.items())})
        if (ended := self._process.poll()) is not None:
            found[Process("srun")] = signalled(ended)
        return found

    def is_over(self) -> bool:
        """Return True if srun has ended, which waits for every task."""
        return self._process.poll() is not None

    def memory_line(self) -> str:
        """Return Slurm's out-of-memory message from the nodes' logs or srun's own, "" without one."""
        logs = [*sorted(self._attempt.logs.glob("node*.log")), self._attempt.logs / "srun.log"]
        texts = (log.read_text(encoding="utf-8", errors="replace") for log in logs if log.exists())
        return next((line for text in texts if (line := out_of_memory_line(text))), "")

    def dump_stacks(self) -> None:
        """Signal the processes on every host to print their stacks."""
        self._launcher.on_hosts("stacks", self._total)

    def stop(self) -> list[str]:
        """End agents and ranks on every host, then srun."""
        wrong: list[str] = []
        if self._process.poll() != 0:  # after success, Slurm ends remaining processes
            wrong = self._launcher.on_hosts("end", self._total)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(LEAVING)
            self._process.kill()
            self._process.wait()
        self._launcher.under_way = 0
        return wrong


class SrunLauncher:
    """Launcher that starts each run with srun inside an allocation."""

    def __init__(
        self, owner: str, commit: str, system: SystemFile, hosts: Sequence[str], image: Image | None = None
    ) -> None:
        self._owner = owner
        self._ownership = ownership_variables(owner, commit)
        self._system = system
        self._hosts = list(hosts)
        self._image = image
        self.under_way = 0
        """Number of nodes that may have processes of a run."""

    def start(self, run: Run, folder: RunFolder, attempt: AttemptFolder) -> Launched:
        """Start a step for the run."""
        return self.step(run, folder, attempt)

    def step(self, run: Run, folder: RunFolder, attempt: AttemptFolder, *more: str) -> Step:
        """Start a step whose agents get the options `more`.

        Raises:
            LaunchError: nothing was started.

        """
        hosts = self._hosts[: run.nodes]
        port = free_port()
        store_port = free_port(but=port) if self._system.is_warm else None
        try:
            into = [*self._image.write_entry(run, folder), "python"] if self._image else [sys.executable, "-P"]
            command = [
                *step(hosts, self._system),
                f"--output={attempt.logs.absolute()}/node%4n.log",
                *(*into, "-m", "bench.start", "agent", str(folder.run.absolute()), str(attempt.path.absolute())),
                *(*agent_words(hosts, port, store_port), *more),
            ]
            self.under_way = run.nodes
            with (attempt.logs / "srun.log").open("wb") as log:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **environment(run.system, self._ownership)},
                    start_new_session=True,  # Ctrl-C in the terminal must reach only the runner
                )
        except OSError as error:
            raise LaunchError(f"cannot start srun: {error}") from error
        return Step(self, process, run.nodes, attempt)

    def end_earlier(self, owners: str) -> list[str]:
        """End processes on the hosts whose owner starts with `owners`, except this runner's; return what failed."""
        return self.on_hosts("end", len(self._hosts), owners, "--spare-owner", self._owner)

    def on_hosts(self, what: str, nodes: int, *whose: str) -> list[str]:
        """Call `matrix.host.processes` on the first `nodes` hosts, by default for this owner; return what failed."""
        if nodes == 0:
            return []
        words = [sys.executable, "-P", "-m", "matrix.host.processes", what, *(whose or [self._owner])]
        command = [*step(self._hosts[:nodes], self._system), "--quiet", *words]
        try:
            done = call(command, limit=STARTED, own_session=True)
        except subprocess.TimeoutExpired:
            return [f"the hosts {', '.join(self._hosts[:nodes])} did not all answer within {STARTED:g} s"]
        except OSError as error:
            return [f"srun: {error.strerror}"]
        return [] if done.returncode == 0 else [_wrong(done)]

    def close(self) -> None:
        """End what an interrupted start left; nothing else outlives a run."""
        self.on_hosts("end", self.under_way)
        end_all(self._owner)


def _wrong(done: subprocess.CompletedProcess[str]) -> str:
    """Return which hosts a step could not reach, or what failed on one."""
    lines = done.stderr.splitlines()
    if lost := [match for line in lines if (match := re.search(r"failed on node (\S+): .*", line))]:
        return f"{', '.join(dict.fromkeys(match[1] for match in lost))} did not answer: {lost[0].string.strip()}"
    stuck = [line for line in done.stdout.splitlines() if line] if done.returncode == STUCK else []
    return stuck[-1] if stuck else complaint(done)
