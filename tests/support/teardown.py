"""A program that trains and exits many times over: forks worlds of ranks, each of which ends as a program does.

    python -m tests.support.teardown RUN.json FOLDER TIMES

prints "TIMES clean" where no rank printed anything and all ended with status 0. Unlike multiprocessing's children these
go through the interpreter's own shutdown, where communicators that were left alive complain or abort.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from bench.contract.run import Run
from bench.contract.storage.files import AttemptFolder
from bench.host.process import send_output_to
from bench.training import main
from matrix.launchers.base import free_port


def fork_world(run: Run, folder: Path) -> list[int] | None:
    """Pids of the ranks; None in a rank, once its training is over."""
    port = free_port()
    pids = []
    for rank in range(run.world):
        pid = os.fork()
        if pid == 0:
            os.environ |= {
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "GROUP_RANK": "0",
                "WORLD_SIZE": str(run.world),
                "LOCAL_WORLD_SIZE": str(run.world),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
            }
            attempt = AttemptFolder(folder)
            attempt.create()
            send_output_to(attempt.rank_log(rank))
            main(run, attempt)
            return None
        pids.append(pid)
    return pids


def repeat(run: Run, folder: Path, times: int) -> str:
    """What to print; empty in a rank."""
    for attempt in range(times):
        pids = fork_world(run, folder / str(attempt))
        if pids is None:
            return ""
        statuses = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
        printed = "".join(log.read_text() for log in (folder / str(attempt)).glob("logs/*"))
        if any(statuses) or printed:
            return f"attempt {attempt}: statuses {statuses}, printed:\n{printed}"
    return f"{times} clean\n"


if __name__ == "__main__":
    asked = Run.model_validate_json(Path(sys.argv[1]).read_text(encoding="utf-8"))
    sys.stdout.write(repeat(asked, Path(sys.argv[2]), int(sys.argv[3])))
