"""The calling process: whose it is, when it ends, and where its output goes. Linux."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
from pathlib import Path

OWNER = "XFFL_BENCH_OWNER"
"""Names the sweep and the runner that a process belongs to; whoever cleans up after a runner finds processes by it."""

_PR_SET_PDEATHSIG = 1


def end_with(parent: int) -> None:
    """Ask the kernel to kill this process when its parent (pid `parent`) dies. Not inherited: every level asks."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:  # it died before the kernel was asked
        os.kill(os.getpid(), signal.SIGKILL)


def print_stack_on_request() -> None:
    """Let SIGUSR1 print the stack into the log, so that a hang leaves evidence. Forks inherit it."""
    faulthandler.register(signal.SIGUSR1, all_threads=False, chain=False)


def send_output_to(path: Path) -> None:
    """Let standard output and error go to a file from here on, also those of native code."""
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
