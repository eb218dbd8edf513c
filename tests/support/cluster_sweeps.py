"""Small real sweeps on the virtual cluster: as `SmallSweep`, with the command on its login host."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.contract.results.result import JobEnd, Result
from matrix.store.jobs import job_folders
from matrix.store.settle import earlier_results
from tests.support.cluster import Cluster, Process, read
from tests.support.sweeps import SmallSweep, parent

FAST = {"poll_seconds": 0.2, "warn_seconds": 60, "job_minutes": 30, "preflight": False}


class ClusterSweep(SmallSweep):
    """A sweep whose runs are by default on two nodes of one rank."""

    def __init__(
        self,
        cluster: Cluster,
        folder: Path,
        data: Path,
        *,
        nodes: int = 2,
        slurm: dict[str, object] | None = None,
        **system: object,
    ) -> None:
        of_slurm = {"scheduler": "slurm", "slurm": {**FAST, **(slurm or {})}}
        network = {"environment": {"GLOO_SOCKET_IFNAME": "eth0"}}
        super().__init__(
            folder, data, start="auto", nodes=nodes, ranks_per_node=1, system={**of_slurm, **network, **system}
        )
        self.cluster = cluster

    def write(self, *args: Any, **more: Any) -> None:
        """With runs that a job has room for."""
        super().write(*args, **{"limits": {"run_seconds": 100}, **more})

    @contextmanager
    def following(self, *options: str) -> Iterator[Process]:
        """`xffl-bench run` on the login host, killed at the end if it still runs."""
        pipe = subprocess.PIPE
        process = self.cluster.popen(
            self.command(*options), env=self.variables, stdin=subprocess.DEVNULL, stdout=pipe, stderr=subprocess.STDOUT
        )
        try:
            yield process
        finally:
            process.kill()
            print(process.communicate()[0], self.logs())  # pytest shows it where the test fails

    def call(self, *options: str) -> subprocess.CompletedProcess[str]:
        """The same to its end."""
        return self.cluster.run(self.command(*options), env=self.variables, timeout=300)

    def stopped_run(self, attempt: int = 0) -> str:
        """Wait until an attempt at a run trains, and stop its agents and ranks where they are; returns its id."""
        run_id = self.training_run(attempt=attempt)
        self._signal(signal.SIGSTOP)
        assert self.folder.result(run_id) is None, "it had ended before it was stopped: give it more steps"
        return run_id

    def go_on(self) -> None:
        """Let what was stopped go on."""
        self._signal(signal.SIGCONT)

    def starts_again_now(self, job: int) -> None:
        """Once Slurm has put the job back into the queue, where it would wait two minutes."""
        self.cluster.job_becomes(job, "PENDING")
        self.cluster.say("scontrol", "update", f"jobid={job}", "StartTime=now")

    def ranks(self) -> list[int]:
        """Pids of forked ranks, as this test sees them: children of agents, which have the same command line."""
        agents = set(self.agents_and_ranks())
        return [pid for pid in agents if parent(pid) in agents]

    def _signal(self, number: int) -> None:
        for pid in self.agents_and_ranks():
            os.kill(pid, number)

    def agents_and_ranks(self) -> list[int]:
        """Pids, on all hosts."""
        mark = b"\0bench.start\0agent\0"
        lines = {pid: read(f"/proc/{pid}/cmdline") for pid in self.left()}
        return [pid for pid, line in lines.items() if mark in line and not line.startswith(b"srun\0")]

    def attempts(self, run_id: str) -> list[Result]:
        """Results of all attempts at a run, the first first."""
        last = self.folder.result(run_id)
        return [*earlier_results(self.folder.run(run_id)), *([last] if last is not None else [])]

    @property
    def ids(self) -> list[int]:
        """Of the jobs, in order."""
        return [int(job.submitted.id) for job in job_folders(self.folder) if job.submitted is not None]

    @property
    def ends(self) -> list[JobEnd | None]:
        """Of the jobs, in order."""
        return [job.end for job in job_folders(self.folder)]

    def logs(self) -> str:
        """What the jobs' own processes have printed."""
        return "\n".join(path.read_text(encoding="utf-8") for path in self.folder.path.glob("jobs/*/*.log"))

    def left(self) -> list[int]:
        """Processes of the sweep and its jobs that are still there."""
        record = self.folder.record()
        assert record is not None
        owners = [self.folder.owner(record), *(job.owner(record) for job in job_folders(self.folder))]
        return [pid for owner in owners for pid in self.cluster.processes(owner)]
