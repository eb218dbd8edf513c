"""Small real sweeps whose jobs are processes of this machine: the whole batch path without a batch system."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.contract.results.result import JobEnd, Result
from matrix.host.processes import owned
from matrix.schedulers.shell.spool import SpooledJob
from matrix.store.jobs import JobFolder, job_folders
from matrix.store.settle import earlier_results
from tests.support.sweeps import COMMAND, PATIENCE, SmallSweep, wait_for

FAST = {"poll_seconds": 0.1, "warn_seconds": 1, "job_minutes": 5}


class ShellSweep(SmallSweep):
    """A sweep of tiny runs, by default on one node of two ranks, in shell jobs."""

    def __init__(self, folder: Path, data: Path, *, shell: dict[str, object] | None = None, **more: Any) -> None:
        state = folder / "state"
        super().__init__(
            folder,
            data,
            system={"scheduler": "shell", "shell": {**FAST, **(shell or {})}},
            variables={"XDG_STATE_HOME": str(state)},
            **more,
        )
        self.spool = state / "xffl-bench" / "shell"

    def write(self, *args: Any, **more: Any) -> None:
        """Write both files, with runs that a job has room for."""
        super().write(*args, **{"limits": {"run_seconds": 60}, **more})

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Call xffl-bench to its end."""
        return subprocess.run(
            [*COMMAND, *words], env=self.variables, capture_output=True, text=True, timeout=PATIENCE, check=False
        )

    def by_hand(self, script: Path) -> str:
        """Submit a job's script by hand; return the job's id."""
        done = subprocess.run(
            [sys.executable, "-P", "-m", "matrix.schedulers.shell", str(script)],
            env=self.variables,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    @property
    def jobs(self) -> list[JobFolder]:
        """The sweep's jobs, oldest first."""
        return job_folders(self.folder)

    @property
    def ends(self) -> list[JobEnd | None]:
        """How the jobs ended, in their order."""
        return [job.end for job in self.jobs]

    def spooled(self, job: str) -> SpooledJob:
        """A job as the scheduler keeps it."""
        (path,) = self.spool.glob(f"*/{job}")
        return SpooledJob(path)

    def attempts_at(self, run_id: str) -> list[Result]:
        """Results of all attempts at a run, oldest first."""
        last = self.folder.result(run_id)
        return [*earlier_results(self.folder.run(run_id)), *([last] if last is not None else [])]

    def job_processes(self) -> dict[int, str]:
        """Living processes of runs of the sweep's jobs: pid and owner."""
        record = self.folder.record()
        assert record is not None
        return {pid: owner for job in self.jobs for pid, owner in owned(job.owner(record))}

    def kill_job_process(self) -> None:
        """SIGKILL the process that a job runs its runs with, as the kernel does for lack of memory."""
        (runner,) = [file for job in self.jobs for file in job.runners.glob("[0-9]*.json")][-1:]
        from matrix.store.claim import Runner

        os.kill(Runner.model_validate_json(runner.read_text(encoding="utf-8")).pid, signal.SIGKILL)

    def assert_nothing_left(self) -> None:
        """No process of a run outlives its job."""
        assert wait_for(lambda: not self.job_processes()), f"left behind: {self.job_processes()}"
