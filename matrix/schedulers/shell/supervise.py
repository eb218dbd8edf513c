"""The supervisor of a shell job: it waits for a slot, runs the script and enforces the time limit.

    python -P -m matrix.schedulers.shell.supervise FOLDER

The script gets SIGUSR1 `warn_seconds` before the time limit. At the limit, or when the job is cancelled, its process
group gets SIGTERM and, after GRACE seconds, SIGKILL. The script dies with this process.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.host.process import end_with
from matrix.schedulers.shell.spool import ShellJob, SpooledJob, spool
from matrix.schedulers.states import meaning

LOOK_EVERY = 0.1
"""Seconds between polls."""

GRACE = 30.0
"""Seconds between SIGTERM and SIGKILL, the default of Slurm's KillWait."""


def supervise(folder: Path) -> None:
    """Run a job and record its final state."""
    spooled = SpooledJob(folder)
    job = spooled.job
    if job is None:
        raise SystemExit(f"{folder}: not a job: job.json is missing or damaged")
    spooled.supervised_by(os.getpid())
    state = "CANCELLED"
    try:
        with _turn(spooled, job) as has_come:
            if has_come:
                spooled.starts()
                state = _run(spooled, job)
    except OSError as error:
        print(f"{folder}: {error}", file=sys.stderr)
        state = "FAILED"
    spooled.ends(state)


@contextmanager
def _turn(spooled: SpooledJob, job: ShellJob) -> Iterator[bool]:
    """Hold a slot for the job; yield False if the job was cancelled before it got one."""
    place = None
    while place is None:
        if spooled.is_cancelled:
            yield False
            return
        if all(_is_over(each) for each in job.after):
            place = _free_place(job.jobs_at_once)
        if place is None:
            time.sleep(LOOK_EVERY)
    try:
        yield True
    finally:
        os.close(place)


def _is_over(job: str) -> bool:
    folder = spool() / job
    return not folder.exists() or meaning(SpooledJob(folder).state()[0]) is not None


def _free_place(places: int) -> int | None:
    """Return the descriptor of a locked slot file, None if all are taken. The lock ends with its process."""
    for number in range(places):
        file = os.open(spool() / f"place-{number}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
        else:
            return file
    return None


def _run(spooled: SpooledJob, job: ShellJob) -> str:
    """Run the script and return its final state."""
    here = os.getpid()
    with Path(job.log.replace("%j", spooled.id)).open("ab") as log:
        script = subprocess.Popen(
            ["/bin/bash", job.script],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "XFFL_SHELL_JOB": spooled.id},
            start_new_session=True,
            preexec_fn=lambda: end_with(here),  # noqa: PLW1509 - this process has one thread
        )
    begin, warned = time.monotonic(), job.warn_seconds == 0
    while (status := script.poll()) is None:
        passed = time.monotonic() - begin
        if spooled.is_cancelled:
            return _ended(script, "CANCELLED")
        if passed >= job.seconds:
            return _ended(script, "TIMEOUT")
        if not warned and passed >= job.seconds - job.warn_seconds:
            warned = True
            script.send_signal(signal.SIGUSR1)
        time.sleep(LOOK_EVERY)
    return "COMPLETED" if status == 0 else "KILLED" if status < 0 else "FAILED"


def _ended(script: subprocess.Popen[bytes], state: str) -> str:
    """End the script's process group and return `state`."""
    _signal(script, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        script.wait(GRACE)
    _signal(script, signal.SIGKILL)
    script.wait()
    return state


def _signal(script: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(script.pid, number)


if __name__ == "__main__":
    supervise(Path(sys.argv[1]))
