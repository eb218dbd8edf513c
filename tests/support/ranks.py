"""Real ranks for tests: processes that are started once a session and form a gloo world for each call."""

from __future__ import annotations

import multiprocessing as mp
import os
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import torch
from torch.distributed.tensor.debug import _clear_sharding_prop_cache

from bench.parallel.mesh import process_group
from matrix.launchers.base import free_port

RANKS = 8
NODE = 4  # ranks that tests put on a node


def _serve(rank: int, pipe: Connection) -> None:
    torch.set_num_threads(1)
    while (order := pipe.recv()) is not None:
        world, port, function, arguments = order
        local = min(NODE, world)
        os.environ |= {
            "RANK": str(rank),
            "WORLD_SIZE": str(world),
            "LOCAL_RANK": str(rank % local),
            "LOCAL_WORLD_SIZE": str(local),
            "GROUP_RANK": str(rank // local),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
        }
        # DTensor keeps results of its operators by their meshes, equal ones alike: those of an earlier world are gone.
        _clear_sharding_prop_cache()
        try:
            with process_group(torch.device("cpu"), timeout=60):
                answer = function(rank, *arguments)
            pipe.send((answer, None))
        except BaseException:  # noqa: BLE001 - every failure of a rank goes to the test
            if torch.distributed.is_initialized():
                torch.distributed.destroy_process_group()
            pipe.send((None, traceback.format_exc()))


class Ranks:
    """Calls a function on the first `world` ranks at once, each with its rank as first argument."""

    def __init__(self) -> None:
        context = mp.get_context("forkserver")
        context.set_forkserver_preload(["bench.training"])
        self._pipes: list[Connection] = []
        self._processes = []
        for rank in range(RANKS):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(rank, theirs), daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)

    def __call__(self, world: int, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """The answers in rank order; raises AssertionError with the ranks' traces where one failed."""
        port = free_port()
        for pipe in self._pipes[:world]:
            pipe.send((world, port, function, arguments))
        answers = []
        for rank, pipe in enumerate(self._pipes[:world]):
            assert pipe.poll(120), f"rank {rank} did not answer in 120 s"
            answers.append(pipe.recv())
        failures = [f"rank {rank}:\n{trace}" for rank, (_, trace) in enumerate(answers) if trace]
        assert not failures, "\n".join(failures)
        return [answer for answer, _ in answers]

    def close(self) -> None:
        """End the processes."""
        for pipe in self._pipes:
            pipe.send(None)
        for process in self._processes:
            process.join(10)
            process.kill()
