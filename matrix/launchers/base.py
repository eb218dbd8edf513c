"""The protocol of launchers and of active runs, and helpers that launchers share."""

from __future__ import annotations

import random
import socket
from typing import Protocol

from bench.contract.run import Run
from bench.contract.storage.files import AttemptFolder, RunFolder
from matrix.store.judge import Process


class LaunchError(RuntimeError):
    """The launcher itself failed, before any rank started."""


class UncleanHostError(LaunchError):
    """A host may still have processes of earlier runs and cannot be reached to end them."""


class Launched(Protocol):
    """An active run."""

    @property
    def is_here(self) -> bool:
        """True if all processes are on this machine, so that its kernel's out-of-memory kills are conclusive."""

    def statuses(self) -> dict[Process, int]:
        """Return the exit statuses of ended processes; negative for a signal."""

    def is_over(self) -> bool:
        """Return True if the whole run has ended by itself."""

    def memory_line(self) -> str:
        """What the scheduler wrote of a process that it ended for lack of memory; empty if it wrote nothing."""

    def dump_stacks(self) -> None:
        """Make every rank print its stack into its log."""

    def stop(self) -> list[str]:
        """Kill all processes of the run and wait until they are gone.

        Returns a sentence for each host where this could not be confirmed.

        Raises:
            StuckError: processes on this machine could not be killed.

        """


class Launcher(Protocol):
    """Starts runs, one at a time."""

    def start(self, run: Run, folder: RunFolder, attempt: AttemptFolder) -> Launched:
        """Start a run.

        Raises:
            LaunchError: nothing was started.

        """

    def close(self) -> None:
        """End what the launcher keeps between runs."""


def free_port(*, but: int | None = None) -> int:
    """Return a free port below the kernel's ephemeral range, other than `but`."""
    for port in random.SystemRandom().sample(range(20_000, 32_000), 100):
        if port == but:
            continue
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
            return port
    raise LaunchError("no free port: 100 random ports between 20000 and 32000 are all in use")


def signalled(status: int) -> int:
    """Convert the status 128+n of a shell or Apptainer to subprocess's -n."""
    return 128 - status if status > 128 else status
