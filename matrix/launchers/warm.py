"""Agents and ranks forked from a warm process that imports torch once, for small runs on a local CPU."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any

from bench.contract.run import Run
from bench.contract.storage.files import AttemptFolder, RunFolder
from matrix.host.processes import ask_for_stacks, end_all
from matrix.launchers.base import Launched, LaunchError, free_port
from matrix.launchers.torchrun import agent_variables, orders, statuses_by_agent
from matrix.store.judge import Process

PATIENCE = 10.0
"""Seconds in which the warm process reports that its agents were killed."""


class _ForkedAgents:
    """Agents forked by the warm process, which reports when they end."""

    def __init__(self, answers: _Answers, pids: list[int], owner: str, server: int) -> None:
        self._answers = answers
        self._pids = pids
        self._owner = owner
        self._server = server
        self._statuses: dict[int, int] = {}

    @property
    def is_here(self) -> bool:
        """True: agents are descendants of this process."""
        return True

    def statuses(self) -> dict[Process, int]:
        """Return exit statuses by node. If the warm process has died, so have all its agents."""
        try:
            while (answer := self._answers.next(timeout=0.0)) is not None:
                self._statuses[answer["ended"]] = answer["status"]
        except LaunchError:
            return statuses_by_agent({node: self._statuses.get(node, -9) for node in range(len(self._pids))})
        return statuses_by_agent(self._statuses)

    def is_over(self) -> bool:
        """Return True if every agent has ended."""
        return len(self.statuses()) == len(self._pids)

    def memory_line(self) -> str:
        """Return "": no scheduler watches these processes."""
        return ""

    def dump_stacks(self) -> None:
        """Signal the processes to print their stacks."""
        ask_for_stacks(self._owner)

    def stop(self) -> list[str]:
        """Kill agents and ranks; the warm process too, if it does not report their ends in time."""
        end_all(self._owner, spare=frozenset({self._server}))
        deadline = time.monotonic() + PATIENCE
        while not self.is_over():
            if time.monotonic() > deadline:  # it is stopped, or stuck
                os.kill(self._server, signal.SIGKILL)
            self._answers.wait(0.05)
        return []


class _Answers:
    """Replies of the warm process, one JSON object per line."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._rest = b""

    def wait(self, timeout: float) -> bool:
        """Return True if data arrive within `timeout` seconds."""
        return bool(select.select([self._stream], [], [], timeout)[0])

    def next(self, timeout: float) -> dict[str, Any] | None:
        """Return the next reply, or None if there is none within `timeout` seconds.

        Raises:
            LaunchError: the warm process has ended.

        """
        while b"\n" not in self._rest:
            if not self.wait(timeout):
                return None
            chunk = os.read(self._stream.fileno(), 65536)
            if not chunk:
                raise LaunchError("the warm process has ended")
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer


class WarmLauncher:
    """Launcher that forks agents and ranks from one process that has imported torch.

    The environment is fixed when the process starts, so a run with a different environment restarts it.
    """

    def __init__(self, owner: str, commit: str, log: Path) -> None:
        self._owner = owner
        self._commit = commit
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: _Answers | None = None
        self._variables: dict[str, str] = {}

    def _ready(self, variables: dict[str, str]) -> tuple[subprocess.Popen[bytes], _Answers]:
        if self._process is not None and self._process.poll() is None and variables == self._variables:
            assert self._answers is not None
            return self._process, self._answers
        self.close()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "bench.start", "serve", "--parent", str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
                env=variables,
                start_new_session=True,
            )
        assert self._process.stdout is not None
        self._answers = _Answers(self._process.stdout)
        self._variables = variables
        if self._answers.next(timeout=300.0) is None:
            self.close()
            raise LaunchError(f"the warm process was not ready within 300 s, see {self._log}")
        return self._process, self._answers

    def start(self, run: Run, folder: RunFolder, attempt: AttemptFolder) -> Launched:
        """Let the warm process fork one agent per node."""
        variables = agent_variables(run, self._owner, self._commit)
        try:
            process, answers = self._ready(variables)
            # An agent forks its ranks one after the other. If the first ones connected to the agent's own store, one of
            # its threads would resolve their addresses, and a rank forked then would deadlock in glibc's resolver.
            asked = orders(run, folder, attempt)
            port = free_port(but=asked[0].master_port)
            asked = [order.model_copy(update={"store_port": port}) for order in asked]
            assert process.stdin is not None
            process.stdin.write(json.dumps([order.model_dump(mode="json") for order in asked]).encode() + b"\n")
            started = answers.next(timeout=60.0)
        except (OSError, LaunchError) as error:
            self.close()
            raise LaunchError(f"cannot fork agents: {error}, see {self._log}") from error
        if started is None:
            self.close()
            raise LaunchError(f"the warm process did not answer within 60 s, see {self._log}")
        return _ForkedAgents(answers, started["started"], self._owner, process.pid)

    def close(self) -> None:
        """End the warm process and everything it forked."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    stream.close()
            self._process = None
            end_all(self._owner)
