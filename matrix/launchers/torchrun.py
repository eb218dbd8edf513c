"""Starting a run's agents on this machine, one per node, and ending them: with plain torchrun agents, or forked from
a warm process that has imported torch already.

Every process carries the name of its sweep and runner in its environment, and ends with its parent.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from bench.contract.agent import AgentOrder
from bench.contract.files import AttemptFolder, RunFolder
from bench.contract.run import Run
from matrix.host.processes import ask_for_stacks, end_all
from matrix.host.variables import environment, marks
from matrix.image.image import Image
from matrix.launchers.base import Launched, LaunchError, free_port, signalled
from matrix.schedulers.local import hosts


def orders(run: Run, folder: RunFolder, attempt: AttemptFolder) -> list[AgentOrder]:
    """What each node's agent is asked for."""
    where = hosts(run.nodes)
    port = free_port()
    return [
        AgentOrder(
            run=folder.run.absolute(),
            folder=attempt.path.absolute(),
            node=node,
            master_addr=where[0],
            master_port=port,
        )
        for node in range(run.nodes)
    ]


def agent_command(order: AgentOrder, python: Sequence[str] = (sys.executable,)) -> list[str]:
    """The command of one node's agent, as a person could give it; `python` is its interpreter and what stands before
    that.
    """
    options = ["--node", str(order.node), "--master-addr", order.master_addr, "--master-port", str(order.master_port)]
    return [*python, "-m", "bench.start", "agent", str(order.run), str(order.folder), *options]


def _variables(run: Run, owner: str, commit: str) -> dict[str, str]:
    return {**os.environ, **environment(run.system, marks(owner, commit))}


def _named(statuses: dict[int, int]) -> dict[str, int]:
    return {f"the agent of node {node}": status for node, status in statuses.items()}


def _ending_with_this(order: AgentOrder, into: list[str]) -> list[str]:
    """An agent that ends with this process; in an image with Apptainer, and that with this process."""
    parent = ["--parent", str(os.getpid())]
    if not into:
        return [*agent_command(order), *parent]
    return [*agent_command(order, [*into[:-2], *parent, *into[-2:], "python"]), "--with-parent"]


class _Agents:
    """Agents that are children of this process."""

    def __init__(self, processes: list[subprocess.Popen[bytes]], owner: str) -> None:
        self._processes = processes
        self._owner = owner

    @property
    def is_here(self) -> bool:
        """Agents are children of this process, or of one of its children."""
        return True

    def statuses(self) -> dict[str, int]:
        """By node."""
        ended = {node: status for node, each in enumerate(self._processes) if (status := each.poll()) is not None}
        return _named({node: signalled(status) for node, status in ended.items()})

    def is_over(self) -> bool:
        """Once every agent has ended."""
        return len(self.statuses()) == len(self._processes)

    def memory_line(self) -> str:
        """Return nothing: no scheduler watches these processes."""
        return ""

    def dump_stacks(self) -> None:
        """By signal."""
        ask_for_stacks(self._owner)

    def stop(self) -> list[str]:
        """Kill agents and ranks."""
        for process in self._processes:
            process.kill()
            process.wait()
        end_all(self._owner)
        return []


class TorchrunLauncher:
    """Plain torchrun agents: every rank imports torch for itself. For GPUs."""

    def __init__(self, owner: str, commit: str, image: Image | None = None) -> None:
        self._owner = owner
        self._commit = commit
        self._image = image

    def start(self, run: Run, folder: RunFolder, attempt: AttemptFolder) -> Launched:
        """Start one agent per node."""
        variables = _variables(run, self._owner, self._commit)
        processes: list[subprocess.Popen[bytes]] = []
        agents = _Agents(processes, self._owner)
        try:
            into = self._image.into(run, folder) if self._image else []
            for order in orders(run, folder, attempt):
                with attempt.node_log(order.node).open("wb") as log:
                    processes.append(
                        subprocess.Popen(
                            _ending_with_this(order, into),
                            stdin=subprocess.DEVNULL,
                            stdout=log,
                            stderr=subprocess.STDOUT,
                            env=variables,
                            start_new_session=True,  # a Ctrl-C in the terminal is the runner's to deal with
                        )
                    )
        except OSError as error:
            agents.stop()
            raise LaunchError(f"cannot start an agent: {error}") from error
        return agents

    def close(self) -> None:
        """Nothing is kept between runs; what an interruption left half started is ended."""
        end_all(self._owner)


class _ForkedAgents:
    """Agents that the warm process forked; it says when they end."""

    def __init__(self, answers: _Answers, pids: list[int], owner: str, server: int) -> None:
        self._answers = answers
        self._pids = pids
        self._owner = owner
        self._server = server
        self._statuses: dict[int, int] = {}

    @property
    def is_here(self) -> bool:
        """Agents are children of this process, or of one of its children."""
        return True

    def statuses(self) -> dict[str, int]:
        """By node. Where the warm process itself is gone, all its agents are."""
        try:
            while (answer := self._answers.next(timeout=0.0)) is not None:
                self._statuses[answer["ended"]] = answer["status"]
        except LaunchError:
            return _named({node: self._statuses.get(node, -9) for node in range(len(self._pids))})
        return _named(self._statuses)

    def is_over(self) -> bool:
        """Once every agent has ended."""
        return len(self.statuses()) == len(self._pids)

    def memory_line(self) -> str:
        """Return nothing: no scheduler watches these processes."""
        return ""

    def dump_stacks(self) -> None:
        """By signal."""
        ask_for_stacks(self._owner)

    def stop(self) -> list[str]:
        """Kill agents and ranks, but not the warm process."""
        end_all(self._owner, spare=frozenset({self._server}))
        while not self.is_over():
            self._answers.wait(0.05)
        return []


class _Answers:
    """The lines that the warm process writes."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._rest = b""

    def wait(self, timeout: float) -> bool:
        """Whether something can be read within `timeout` seconds."""
        return bool(select.select([self._stream], [], [], timeout)[0])

    def next(self, timeout: float) -> dict[str, Any] | None:
        """The next answer, None where there is none in time.

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
    """Agents and ranks forked from one process that imported torch once. For small runs on a local CPU.

    The environment is fixed when the process starts, so it is started anew where a run's differs.
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
                [sys.executable, "-m", "bench.start", "serve", "--parent", str(os.getpid())],
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
            raise LaunchError(f"the warm process did not become ready in 300 s, see {self._log}")
        return self._process, self._answers

    def start(self, run: Run, folder: RunFolder, attempt: AttemptFolder) -> Launched:
        """Have the agents forked."""
        variables = _variables(run, self._owner, self._commit)
        try:
            process, answers = self._ready(variables)
            # An agent forks its ranks one after the other. If the first ones met at the agent's own store, a thread of
            # it would look their addresses up meanwhile, and a rank forked then waits for glibc's resolver for ever.
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
            raise LaunchError(f"the warm process did not answer in 60 s, see {self._log}")
        return _ForkedAgents(answers, started["started"], self._owner, process.pid)

    def close(self) -> None:
        """End the warm process, and with it all that it forked."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    stream.close()
            self._process = None
            end_all(self._owner)
