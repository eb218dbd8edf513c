"""Submission by hand: `python -m matrix.schedulers.shell JOB.sh` submits a script and prints the job's id."""

from __future__ import annotations

import sys
from pathlib import Path

from matrix.errors import SchedulerError
from matrix.schedulers.shell.scheduler import ShellScheduler

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m matrix.schedulers.shell JOB.sh")
    try:
        print(ShellScheduler().submit(Path(sys.argv[1])))
    except SchedulerError as error:
        sys.exit(str(error))
