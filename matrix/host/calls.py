"""Programs that are called for what they say: nobody types, and what they print is text."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


def complaint(done: subprocess.CompletedProcess[str]) -> str:
    """What a program that failed said last, or else how it ended."""
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return lines[-1] if lines else f"{Path(done.args[0]).name} ended with status {done.returncode}"


def call(
    command: Sequence[str | Path],
    *,
    limit: float,
    own_session: bool = False,
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and keep what it prints. In a session of its own no Ctrl-C of the terminal reaches it;
    without an `environment` of its own it has this process's.

    Raises:
        OSError: it cannot be started.
        subprocess.TimeoutExpired: it had not ended after `limit` seconds, and was killed.

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
