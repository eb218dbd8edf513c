"""What rank 0 does for tracking by Weights & Biases: it starts and ends the process that uploads.

No step waits for that process, wandb is never imported into a rank, and it can be killed when it takes too long. It
begins after the last collective, when every figure is on disk, or with `live` before the first step.
"""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable

from bench.contract.results.measured import Measured
from bench.contract.results.outcomes import Caution
from bench.contract.run import Run
from bench.contract.storage.atomic import write_whole
from bench.contract.storage.files import AttemptFolder, write_document
from bench.measure.progress import Progress
from bench.saving.wandb import COMPLETE

logger = logging.getLogger(__name__)

LONGEST = 120.0  # seconds; below the 300 s that the agents of other nodes wait for rank 0's agent (torch)
READY_WITHIN = 60.0  # seconds; without a network wandb gives up after 40
ENDS_WITHIN = 5.0  # seconds after a kill
POLL_EVERY = 0.05  # seconds between polls of the process

WHO_AND_WHERE = frozenset(
    {
        "WANDB_API_KEY",
        "WANDB_BASE_URL",
        "WANDB_CONFIG_DIR",
        "WANDB_CREDENTIALS_FILE",
        "WANDB_IDENTITY_TOKEN_FILE",
        "WANDB_INSECURE_DISABLE_SSL",
    }
)
"""wandb's variables that are passed to it. Others, such as WANDB_MODE, could contradict the matrix file."""


class Tracking:
    """The process that uploads a run."""

    def __init__(self, run: Run, folder: AttemptFolder, longest: float = LONGEST) -> None:
        """Start it. The run is a file, because a pipe takes 64 KiB: a rank would wait for a process that hangs.

        Raises:
            OSError: it cannot be started, or the file cannot be written.

        """
        write_whole(folder.tracking_run, run.model_dump_json(), durable=False)
        self._ready = folder.tracking_ready
        command = [sys.executable, "-P", "-m", "bench.saving.wandb", str(folder.path.absolute())]
        command += ["--seconds", str(longest)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, env=_environment(folder), text=True)

    def wait_until_ready(self, alive: Callable[[], None], longest: float = READY_WITHIN) -> None:
        """Wait until it follows the run, or has given up: its own start would take a core from the first steps."""
        deadline = time.monotonic() + longest
        while not self.is_over and not self._ready.exists() and time.monotonic() < deadline:
            alive()
            time.sleep(POLL_EVERY)

    @property
    def is_over(self) -> bool:
        """True once it has ended, whatever it uploaded."""
        return self._process.poll() is not None

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):  # a system call of a dead file system outlasts a kill
            self._process.wait(ENDS_WITHIN)

    def complete(self, alive: Callable[[], None], longest: float) -> str | None:
        """Have it upload what was measured, and wait for its end; return what failed, None if nothing did."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended, as its exit status tells
            self._process.stdin.write(COMPLETE)  # all that is ever written, so the pipe has room
            self._process.stdin.flush()
        deadline = time.monotonic() + longest
        while not self.is_over:
            alive()
            if time.monotonic() > deadline:
                self.kill()
                return f"it took longer than {longest:g} s"
            time.sleep(POLL_EVERY)
        return None if self._process.returncode == 0 else f"its process ended with status {self._process.returncode}"


def follow(run: Run, folder: AttemptFolder) -> Tracking | None:
    """Start tracking a run that is to be watched while it trains; None for other runs, or if that is impossible."""
    if not run.wandb.follows:
        return None
    try:
        return Tracking(run, folder)
    except OSError as error:
        logger.error("the run is not tracked while it trains: cannot start the process: %s", error)
        return None


def hand_over(
    run: Run, folder: AttemptFolder, progress: Progress, following: Tracking | None = None, longest: float = LONGEST
) -> None:
    """Upload a run within `longest` seconds, by the process that follows it if there is one.

    A failure is logged and recorded as the caution `wandb-failed`; it never fails the run.

    Raises:
        OSError: the caution could not be written.

    """
    if run.wandb.mode == "disabled":
        return
    progress.enter("tracking")
    try:
        if following is None or following.is_over:
            following = Tracking(run, folder, longest)
        failure = following.complete(progress.alive, longest)
    except OSError as error:
        failure = f"cannot start its process: {error}"
    if failure is None:
        return
    logger.error("the upload to Weights & Biases is incomplete: %s", failure)
    measured = Measured.model_validate_json(folder.measured.read_text(encoding="utf-8"))
    cautions = [*measured.cautions, Caution.WANDB_FAILED]
    write_document(folder.measured, measured.model_copy(update={"cautions": cautions}))


def _environment(folder: AttemptFolder) -> dict[str, str]:
    """Return the rank's environment with folders of the attempt, without variables that could contradict the matrix."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_") or name in WHO_AND_WHERE}
    cache = str(folder.wandb.absolute() / "cache")
    own = {"WANDB_CACHE_DIR": cache, "WANDB_DATA_DIR": cache, "WANDB_ERROR_REPORTING": "false"}
    return {**kept, **own, "PYTHONSAFEPATH": "1"}  # for wandb's subprocesses too: the working directory holds no code
