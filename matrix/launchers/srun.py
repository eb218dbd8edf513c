"""Torchrun agents on the hosts of a Slurm allocation: one `srun` per run, one task of it per node.

Slurm ends what a step has left where the step's own processes end. Where a run must be ended, all that carries its
owner's mark is, on every host, by a second step beside it.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence

from bench.contract.files import AttemptFolder, RunFolder
from bench.contract.run import Run
from matrix.config.system import SystemFile
from matrix.host.calls import call, complaint
from matrix.host.processes import STUCK, end_all
from matrix.host.variables import environment, ownership_variables
from matrix.image.image import Image
from matrix.launchers.base import Launched, LaunchError, free_port, signalled
from matrix.launchers.status_files import OF_NODE, kept
from matrix.schedulers.slurm.header import cores_per_node
from matrix.schedulers.slurm.states import out_of_memory_line

STARTED = 120.0
"""Seconds for the steps that end processes: an interpreter from a busy file system on every node."""

LOOK_EVERY = 0.1
"""Seconds between two looks into the folder of the agents' exit statuses, which is on a file system of the cluster."""

LEAVING = 10.0
"""Seconds for an srun to end by itself once its tasks are gone."""


def step(hosts: Sequence[str], system: SystemFile) -> list[str]:
    """The words before a command that each of the hosts is to run once."""
    return [
        "srun",
        "--export=ALL",
        f"--nodes={len(hosts)}",
        f"--ntasks={len(hosts)}",
        "--ntasks-per-node=1",
        f"--nodelist={','.join(hosts)}",
        f"--cpus-per-task={cores_per_node(system)}",
        "--cpu-bind=none",  # ranks bind themselves, the same under every launcher
        "--overlap",
        "--kill-on-bad-exit=0",  # the others get their time to say why
        "--mpi=none",
        *system.slurm.srun,
    ]


def agent_words(hosts: Sequence[str], port: int, store_port: int | None) -> list[str]:
    """The end of an agent's command on every host."""
    return [
        *("--among", ",".join(hosts), "--node-name-in", "SLURMD_NODENAME"),
        *("--master-addr", hosts[0], "--master-port", str(port), "--with-parent"),
        *(("--fork", "--store-port", str(store_port)) if store_port is not None else ()),
    ]


class Step:
    """A run whose agents srun has begun to start."""

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
        """Other hosts' kernels count for themselves."""
        return False

    def statuses(self) -> dict[str, int]:
        """Of the agents, as they have kept them, and of srun."""
        now = time.monotonic()
        if len(self._nodes) < self._total and now - self._looked >= LOOK_EVERY:
            self._looked = now
            self._nodes |= kept(self._attempt, OF_NODE, known=self._nodes)
        found = {f"the agent of node {node}": signalled(status) for node, status in sorted(self._nodes.items())}
        if (ended := self._process.poll()) is not None:
            found["srun"] = signalled(ended)
        return found

    def is_over(self) -> bool:
        """Once srun has ended: it waits for every task."""
        return self._process.poll() is not None

    def memory_line(self) -> str:
        """Return what Slurm's daemons wrote into the nodes' logs, or srun into its own."""
        logs = [*sorted(self._attempt.logs.glob("node*.log")), self._attempt.logs / "srun.log"]
        texts = (log.read_text(encoding="utf-8", errors="replace") for log in logs if log.exists())
        return next((line for text in texts if (line := out_of_memory_line(text))), "")

    def dump_stacks(self) -> None:
        """By signal, on every host."""
        self._launcher.on_hosts("stacks", self._total)

    def stop(self) -> list[str]:
        """End agents and ranks on every host, then srun."""
        wrong: list[str] = []
        if self._process.poll() != 0:  # where every task has ended well, Slurm ends what they left
            wrong = self._launcher.on_hosts("end", self._total)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(LEAVING)
            self._process.kill()
            self._process.wait()
        self._launcher.under_way = 0
        return wrong


class SrunLauncher:
    """Calls srun inside an allocation, run after run."""

    def __init__(
        self, owner: str, commit: str, system: SystemFile, hosts: Sequence[str], image: Image | None = None
    ) -> None:
        self._owner = owner
        self._ownership = ownership_variables(owner, commit)
        self._system = system
        self._hosts = list(hosts)
        self._image = image
        self.under_way = 0
        """Nodes that may have processes of ours."""

    def start(self, run: Run, folder: RunFolder, attempt: AttemptFolder) -> Launched:
        """One step for the run."""
        return self.step(run, folder, attempt)

    def step(self, run: Run, folder: RunFolder, attempt: AttemptFolder, *more: str) -> Step:
        """One step, whose agents get `more` options.

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
                    start_new_session=True,  # a Ctrl-C in the terminal is the runner's to deal with
                )
        except OSError as error:
            raise LaunchError(f"cannot start srun: {error}") from error
        return Step(self, process, run.nodes, attempt)

    def end_earlier(self, owners: str) -> list[str]:
        """End what earlier runners, whose names begin so, have left on the hosts; returns what went wrong."""
        return self.on_hosts("end", len(self._hosts), owners, "--spare-owner", self._owner)

    def on_hosts(self, what: str, nodes: int, *whose: str) -> list[str]:
        """Have `matrix.host.processes` do something about processes on the first hosts (this runner's); returns what
        went wrong.
        """
        if nodes == 0:
            return []
        words = [sys.executable, "-P", "-m", "matrix.host.processes", what, *(whose or [self._owner])]
        command = [*step(self._hosts[:nodes], self._system), "--quiet", *words]
        try:
            done = call(command, limit=STARTED, own_session=True)
        except subprocess.TimeoutExpired:
            return [f"the hosts {', '.join(self._hosts[:nodes])} did not all answer in {STARTED:g} s"]
        except OSError as error:
            return [f"srun: {error.strerror}"]
        return [] if done.returncode == 0 else [_wrong(done)]

    def close(self) -> None:
        """Nothing is kept between runs; what an interruption left half started is ended."""
        self.on_hosts("end", self.under_way)
        end_all(self._owner)


def _wrong(done: subprocess.CompletedProcess[str]) -> str:
    """Which hosts a step could not reach, or what could not be done on one."""
    lines = done.stderr.splitlines()
    if lost := [match for line in lines if (match := re.search(r"failed on node (\S+): .*", line))]:
        return f"{', '.join(dict.fromkeys(match[1] for match in lost))} did not answer: {lost[0].string.strip()}"
    stuck = [line for line in done.stdout.splitlines() if line] if done.returncode == STUCK else []
    return stuck[-1] if stuck else complaint(done)
