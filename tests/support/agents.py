"""Agents started by their command line, as another host's shell would start them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.contract.run import Run
from matrix.launchers.base import free_port


class Agents:
    """The command lines of one run's agents, and what they leave in `folder`."""

    def __init__(self, run: Run, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.store_port = free_port(but=self.port)
        self._run = folder.with_suffix(".json")
        self._run.write_text(run.model_dump_json(), encoding="utf-8")

    def command(self, *options: str) -> list[str]:
        """Of one agent."""
        where = ["--master-addr", "127.0.0.1", "--master-port", str(self.port)]
        return [sys.executable, "-P", "-m", "bench.start", "agent", str(self._run), str(self.folder), *where, *options]

    @property
    def forking(self) -> list[str]:
        """Options of agents that fork their ranks."""
        return ["--fork", "--store-port", str(self.store_port)]

    def start(
        self, *options: str, before: Sequence[str] = (), cwd: Path | None = None, **variables: str
    ) -> subprocess.Popen[str]:
        """One agent with its own variables, ranks without thread pools, started by the command `before`."""
        threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        return subprocess.Popen(
            [*before, *self.command(*options)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=cwd,
            env={**os.environ, **threads, **variables},
        )
