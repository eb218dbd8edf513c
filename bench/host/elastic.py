"""What torch's elastic agents leave on the disk: nothing."""

from __future__ import annotations

import os
from dataclasses import replace

from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, LogsDest


class NoFolder(DefaultLogsSpecs):
    """Ranks print where the agent prints, and no folder in TMPDIR outlives an agent: there is none."""

    def __init__(self) -> None:
        super().__init__(log_dir=os.devnull)

    def reify(self, envs: dict[int, dict[str, str]]) -> LogsDest:
        """Return what torch makes of no folder, without the threads that would follow the null device: agents fork."""
        return replace(super().reify(envs), tee_stdouts={}, tee_stderrs={})
