"""Dispatch runs to their launchers. A sweep may use several; each is created for the first run that needs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack

from bench.contract.base import LauncherName
from bench.contract.run import Run
from bench.contract.storage.files import AttemptFolder, RunFolder
from matrix.launchers.base import Launched, Launcher


class ChosenLauncher:
    """Starts each run with the launcher it names."""

    def __init__(self, makers: Mapping[LauncherName, Callable[[], Launcher]]) -> None:
        self._makers = makers
        self._made: dict[LauncherName, Launcher] = {}

    def start(self, run: Run, folder: RunFolder, attempt: AttemptFolder) -> Launched:
        """Start a run with `run.launcher`."""
        if run.launcher not in self._made:
            self._made[run.launcher] = self._makers[run.launcher]()
        return self._made[run.launcher].start(run, folder, attempt)

    def close(self) -> None:
        """Close all launchers that were created."""
        with ExitStack() as each:  # if one fails, the others are still closed
            for launcher in self._made.values():
                each.callback(launcher.close)
