"""Tell someone about a night by a command of theirs."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path

from matrix.nightly.record import NightStatus

PATIENCE = 300.0
"""Seconds that the command may take: a mail server that does not answer must not hold the next night up."""


def tell(command: str, status: NightStatus, folder: Path, summary: list[str]) -> str:
    """Give a shell command the summary on its standard input; return what went wrong, or "".

    It finds the status in XFFL_BENCH_NIGHT_STATUS and the night's folder in XFFL_BENCH_NIGHT.
    """
    variables = {**os.environ, "XFFL_BENCH_NIGHT_STATUS": status.value, "XFFL_BENCH_NIGHT": str(folder)}
    with subprocess.Popen(
        command,
        shell=True,
        stdin=subprocess.PIPE,
        text=True,
        env=variables,
        start_new_session=True,  # so that what the shell started can be ended with it
    ) as shell:
        try:
            shell.communicate("\n".join(summary) + "\n", timeout=PATIENCE)
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            return f"tell: the command did not end within {PATIENCE:g} s"
    return f"tell: the command ended with status {shell.returncode}" if shell.returncode else ""
