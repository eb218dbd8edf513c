"""What the launchers have in common: a run under way, how one is started, and what its ranks get to know."""

from __future__ import annotations

import random
import socket
from typing import Protocol

from bench.contract.files import AttemptFolder, RunFolder
from bench.contract.run import Run


class LaunchError(RuntimeError):
    """The launcher itself failed, before any rank could."""


class UncleanHostError(LaunchError):
    """A host may still have processes of earlier runs, and cannot be reached to end them."""


class Launched(Protocol):
    """A run under way."""

    @property
    def is_here(self) -> bool:
        """Whether all its processes are on this machine, whose kernel counts what it kills for want of memory."""

    def statuses(self) -> dict[str, int]:
        """Exit statuses of the processes that have ended, by what people call them; negative for a signal."""

    def is_over(self) -> bool:
        """Whether all of the run has ended by itself."""

    def memory_line(self) -> str:
        """What the scheduler wrote of a process that it ended for lack of memory; empty if it wrote nothing."""

    def dump_stacks(self) -> None:
        """Have every rank print where it is into its log."""

    def stop(self) -> list[str]:
        """End everything that belongs to the run, now, and return when it is gone.

        Returns a sentence for each host of which that is not known.

        Raises:
            StuckError: processes on this machine could not be ended.

        """


class Launcher(Protocol):
    """Starts runs, one at a time."""

    def start(self, run: Run, folder: RunFolder, attempt: AttemptFolder) -> Launched:
        """Raises LaunchError: nothing was started."""

    def close(self) -> None:
        """End what the launcher keeps between runs."""


def free_port(*, but: int | None = None) -> int:
    """A port nobody listens on, from below the range that the kernel deals out by itself; another one than `but`."""
    for port in random.SystemRandom().sample(range(20_000, 32_000), 100):
        if port == but:
            continue
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
            return port
    raise LaunchError("100 ports between 20000 and 32000 were all taken")


def signalled(status: int) -> int:
    """Negative for a signal, of which a shell, and Apptainer, says 128 more."""
    return 128 - status if status > 128 else status
