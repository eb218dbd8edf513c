"""The protocol of a training engine, implemented by the native engine and the xFFL library's."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from torch import nn

from bench.contract.results.measured import Saved
from bench.contract.storage.files import AttemptFolder
from bench.data.dataset import RunData
from bench.measure.progress import Watcher
from bench.measure.window import Trained


class Engine(Protocol):
    """Training of one run on this rank. The methods are called once each, in this order, by all ranks together."""

    def world(self) -> AbstractContextManager[None]:
        """Create the process group and the layout's groups for the duration of the block."""

    def preload(self) -> None:
        """Start reading weights and data into the page cache, if the run asks for it."""

    def build(self, alive: Callable[[], None]) -> None:
        """Build the model on this rank, with its initial values."""

    def load(self, alive: Callable[[], None]) -> RunData:
        """Open the data, and prepare everything else that the first step needs."""

    def train(self, watcher: Watcher, validation: Callable[[], float]) -> Trained:
        """Train all steps; call `validation` between the steps after which the run validates, as its clock stands."""

    @property
    def model(self) -> nn.Module:
        """The model, once it is built."""

    def memory(self) -> dict[str, int]:
        """Return bytes on this rank: `state` and `averaging_buffers` of `bench.contract.results.measured.Memory`."""

    def save(self, folder: AttemptFolder, alive: Callable[[], None]) -> Saved:
        """Write model and checkpoint, if the run asks for them."""

    def release(self) -> None:
        """Release wrappers and optimizer, before the communicators that they use."""
