"""Start and end a run's torchrun agents on this machine, one per node.

Every process has its sweep and runner in its environment, and ends with its parent. `warm` has the agents that are
forked instead of executed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

from bench.contract.agent import AgentOrder
from bench.contract.run import Run
from bench.contract.storage.files import AttemptFolder, RunFolder
from matrix.host.processes import ask_for_stacks, end_all
from matrix.host.variables import environment, ownership_variables
from matrix.image.image import Image
from matrix.launchers.base import Launched, LaunchError, free_port, signalled
from matrix.schedulers.local import hosts
from matrix.store.judge import Process


def orders(run: Run, folder: RunFolder, attempt: AttemptFolder) -> list[AgentOrder]:
    """Return the order for each node's agent."""
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
    """Return the command of one node's agent; `python` is its interpreter with an optional prefix."""
    options = ["--node", str(order.node), "--master-addr", order.master_addr, "--master-port", str(order.master_port)]
    return [*python, "-P", "-m", "bench.start", "agent", str(order.run), str(order.folder), *options]


def agent_variables(run: Run, owner: str, commit: str) -> dict[str, str]:
    """Return the environment of a run's agents."""
    return {**os.environ, **environment(run.system, ownership_variables(owner, commit))}


def statuses_by_agent(statuses: dict[int, int]) -> dict[Process, int]:
    """Return exit statuses by agent, from those by node."""
    return {Process(f"the agent of node {node}"): status for node, status in statuses.items()}


def _ending_with_this(order: AgentOrder, prefix: list[str]) -> list[str]:
    """Return the command of an agent that ends with this process; in an image through Apptainer, which does."""
    parent = ["--parent", str(os.getpid())]
    if not prefix:
        return [*agent_command(order), *parent]
    return [*agent_command(order, [*prefix[:-2], *parent, *prefix[-2:], "python"]), "--with-parent"]


class _Agents:
    """Agents that are children of this process."""

    def __init__(self, processes: list[subprocess.Popen[bytes]], owner: str) -> None:
        self._processes = processes
        self._owner = owner

    @property
    def is_here(self) -> bool:
        """Agents are children of this process, or of one of its children."""
        return True

    def statuses(self) -> dict[Process, int]:
        """By node."""
        ended = {node: status for node, each in enumerate(self._processes) if (status := each.poll()) is not None}
        return statuses_by_agent({node: signalled(status) for node, status in ended.items()})

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
    """Starts plain torchrun agents, in which every rank imports torch. For GPUs."""

    def __init__(self, owner: str, commit: str, image: Image | None = None) -> None:
        self._owner = owner
        self._commit = commit
        self._image = image

    def start(self, run: Run, folder: RunFolder, attempt: AttemptFolder) -> Launched:
        """Start one agent per node."""
        variables = agent_variables(run, self._owner, self._commit)
        processes: list[subprocess.Popen[bytes]] = []
        agents = _Agents(processes, self._owner)
        try:
            prefix = self._image.write_entry(run, folder) if self._image else []
            for order in orders(run, folder, attempt):
                with attempt.node_log(order.node).open("wb") as log:
                    processes.append(
                        subprocess.Popen(
                            _ending_with_this(order, prefix),
                            stdin=subprocess.DEVNULL,
                            stdout=log,
                            stderr=subprocess.STDOUT,
                            env=variables,
                            start_new_session=True,  # the runner handles a Ctrl-C in the terminal
                        )
                    )
        except OSError as error:
            agents.stop()
            raise LaunchError(f"cannot start an agent: {error}") from error
        return agents

    def close(self) -> None:
        """End processes of a run whose start was interrupted; nothing is kept between runs."""
        end_all(self._owner)
