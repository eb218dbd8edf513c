"""Tell someone about a night by a command of theirs."""

from __future__ import annotations

import os
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
    try:
        done = subprocess.run(
            command,
            shell=True,
            input="\n".join(summary) + "\n",
            text=True,
            env=variables,
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"tell: the command did not end within {PATIENCE:g} s"
    return f"tell: the command ended with status {done.returncode}" if done.returncode else ""
