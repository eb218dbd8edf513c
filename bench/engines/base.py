"""What a training engine does, step by step, for the run of one rank: the native one and the xFFL library's."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from torch import nn

from bench.contract.files import AttemptFolder
from bench.contract.measured import Saved
from bench.data.dataset import RunData
from bench.measure.progress import Watcher
from bench.measure.window import Trained


class Engine(Protocol):
    """Trains one run on this rank. The steps are called once each, in this order, by all ranks together."""

    def world(self) -> AbstractContextManager[None]:
        """The process group and the layout's groups, for as long as the block runs."""

    def preload(self) -> None:
        """Begin to read weights and data into the page cache, where the run asks for it."""

    def build(self, alive: Callable[[], None]) -> None:
        """The model on this rank, with its first values."""

    def load(self, alive: Callable[[], None]) -> RunData:
        """The data, and whatever else must be ready before the first step."""

    def train(self, watcher: Watcher) -> Trained:
        """All steps."""

    @property
    def model(self) -> nn.Module:
        """The model, once it is built."""

    def memory(self) -> dict[str, int]:
        """Counted bytes on this rank: `state` and `averaging_buffers` of `bench.contract.measured.Memory`."""

    def save(self, folder: AttemptFolder, alive: Callable[[], None]) -> Saved:
        """What the run leaves besides its figures."""

    def release(self) -> None:
        """Drop wrappers and optimizer, before the communicators that they use."""
