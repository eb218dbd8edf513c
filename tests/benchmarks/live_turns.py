"""A run that is followed by W&B in turns: its process is stopped and continued every few seconds.

    python -m tests.benchmarks.live_turns RUN.json FOLDER

prints steps per second as JSON: [[while it follows, while it is stopped], ...]. Turns of one run vary less than runs do
on a machine that others use, and a stopped process takes no core. Of two pairs the second begins with the stopped turn.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from unittest.mock import patch

import torch

from bench.contract.run import Run
from bench.host.process import OWNER
from bench.measure.progress import Progress
from matrix.host.processes import owned
from tests.support.teardown import fork_world

SECONDS = 2.0
OURS = f"turns{os.getpid()}/1"


class Turns:
    """The turns of the only rank, which are told that a step is done."""

    def __init__(self) -> None:
        self.rates: list[float] = []
        self._begun = 0.0
        self._steps = 0

    def finished(self, is_last: bool) -> None:
        """Count a step; begin another turn if this one is long enough, and let the process follow at the end."""
        now = time.monotonic()
        if not self._begun:
            self._begun = now  # the first step is no part of a turn
            return
        self._steps += 1
        if now - self._begun >= SECONDS:
            self.rates.append(self._steps / (now - self._begun))
            self._follow(len(self.rates) % 4 in (0, 3))
            self._begun, self._steps = time.monotonic(), 0
        if is_last:
            self._follow(True)

    def _follow(self, follows: bool) -> None:
        for pid, _ in owned(OURS):
            if pid not in (os.getpid(), os.getppid()):
                os.kill(pid, signal.SIGCONT if follows else signal.SIGSTOP)


def main(run: Run, folder: Path) -> None:
    """Train, and print the turns' rates in pairs."""
    os.environ[OWNER] = OURS
    turns = Turns()
    finished = Progress.finished

    def with_turns(self: Progress, step: int, losses: torch.Tensor) -> None:
        finished(self, step, losses)
        turns.finished(step == run.training.steps - 1)

    with patch.object(Progress, "finished", with_turns):
        pids = fork_world(run, folder)
    if pids is None:
        (folder / "turns.json").write_text(json.dumps(turns.rates), encoding="utf-8")
        return
    assert not any(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids)
    rates = json.loads((folder / "turns.json").read_text(encoding="utf-8"))
    pairs = list(zip(rates[::2], rates[1::2], strict=False))
    print(json.dumps([pair if place % 2 == 0 else pair[::-1] for place, pair in enumerate(pairs)]))


if __name__ == "__main__":
    main(Run.model_validate_json(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2]))
