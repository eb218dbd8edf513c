"""Ownership, lifetime and output of the calling process. Linux."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
from pathlib import Path

OWNER = "XFFL_BENCH_OWNER"
"""Environment variable that names the sweep and runner that own a process; clean-up finds processes by it."""

_PR_SET_PDEATHSIG = 1


def end_with(parent: int) -> None:
    """Let the kernel kill this process when its parent (pid `parent`) dies. Not inherited: call it in every child."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:  # the parent died before the call
        os.kill(os.getpid(), signal.SIGKILL)


def print_stack_on_request() -> None:
    """Print the stack into the log on SIGUSR1, so that a hang leaves evidence. Inherited by forks."""
    faulthandler.register(signal.SIGUSR1, all_threads=False, chain=False)


def send_output_to(path: Path) -> None:
    """Redirect standard output and error to a file, including those of native code."""
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
