"""Run programs without input and capture their output as text."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


def complaint(done: subprocess.CompletedProcess[str]) -> str:
    """Return the last line that a failed program wrote to stderr, or else its exit status.

    A line that only says how to ask for help, as sbatch's after an unknown option, is passed over.
    """
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith("Try ")] or lines
    return lines[-1] if lines else f"{Path(done.args[0]).name} ended with status {done.returncode}"


def call(
    command: Sequence[str | Path],
    *,
    limit: float,
    own_session: bool = False,
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and capture its output.

    Args:
        command: program and arguments.
        limit: time limit in seconds.
        own_session: start a new session, which a Ctrl-C in the terminal does not reach.
        environment: environment variables; by default those of this process.

    Raises:
        OSError: the program cannot be started.
        subprocess.TimeoutExpired: the program did not finish within `limit` seconds and was killed.

    """
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=limit,
        check=False,
        start_new_session=own_session,
        env=environment,
    )
