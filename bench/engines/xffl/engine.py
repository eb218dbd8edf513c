"""The xFFL library as an engine: its pipeline from the process group to the clean-up."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from bench.contract.results.measured import Saved
from bench.contract.run import Run
from bench.contract.storage.files import AttemptFolder
from bench.data.dataset import RunData, load
from bench.engines.xffl.configuration import configuration
from bench.engines.xffl.recorder import Recorder
from bench.measure.progress import Watcher
from bench.measure.window import Trained
from bench.models.state import state_bytes
from bench.parallel.mesh import Position

from xffl.distributed import distributed
from xffl.learning import modelling, processing, utils
from xffl.learning.data import create_dataloaders


class XfflEngine:
    """Training by the xFFL library (see `bench.engines.base.Engine`)."""

    def __init__(self, run: Run, position: Position, device: torch.device) -> None:
        self._run = run
        self._position = position
        self._device = device
        self._recorder = Recorder(run)
        self._config = configuration(run, self._recorder)

    @contextmanager
    def world(self) -> Iterator[None]:
        """Create process group and groups through xFFL for the duration of the block."""
        self._generator = utils.set_deterministic_execution(config=self._config)
        self._state = distributed.setup_distributed_process_group(config=self._config)
        _check_layout(self._run, self._state)
        yield
        dist.barrier()
        distributed.cleanup_distributed_process_group(state=self._state)

    def preload(self) -> None:
        """Start reading weights and data, in a background shell of local rank 0; xFFL never waits for it."""
        if self._run.training.preload and self._state.node_local_rank == 0:
            utils.preload(files=[self._run.weights, str(Path(self._run.data) / "train")])

    def build(self, alive: Callable[[], None]) -> None:
        """Build the model, wrapped in FSDP."""
        self._recorder.alive = alive
        self._model: nn.Module = modelling.create_fsdp_model(state=self._state, config=self._config)

    def load(self, alive: Callable[[], None]) -> RunData:
        """Create xFFL's data loaders over the run's samples, and return the harness's own data."""
        self._loaders = create_dataloaders(state=self._state, config=self._config, generator=self._generator)
        return load(self._run, self._position.rank)

    def train(self, watcher: Watcher, validation: Callable[[], float]) -> Trained:
        """Train all steps; planning refuses runs of this engine that validate during the training."""
        self._recorder.begin(self._device, watcher)
        processing.distributed_training(
            model=self._model,
            state=self._state,
            train_dataloader=self._loaders["train"],
            gradient_accumulation=self._run.training.accumulation,
            config=self._config,
            wandb_run=self._recorder,
        )
        return self._recorder.read()

    @property
    def model(self) -> nn.Module:
        """The model, wrapped in FSDP."""
        return self._model

    def memory(self) -> dict[str, int]:
        """Return bytes of state on this rank; xFFL averages parameters in place, without buffers."""
        assert self._recorder.optimizer is not None
        return {"state": state_bytes(self._model, self._recorder.optimizer), "averaging_buffers": 0}

    def save(self, folder: AttemptFolder, alive: Callable[[], None]) -> Saved:
        """Write nothing: planning refuses runs of this engine that save."""
        return Saved()

    def release(self) -> None:
        """Release model, loaders and optimizer."""
        del self._model, self._loaders, self._recorder, self._config
        gc.collect()


def _check_layout(run: Run, state: Any) -> None:  # noqa: ANN401
    """Raise RuntimeError if xFFL made other groups than the run needs, which it does without an error."""
    layout = run.layout
    found = (
        state.federated_world_size if state.is_federated_scaling_setup() else 1,
        state.hsdp_mesh.shape if state.is_hsdp_setup() else (1, *state.fsdp_mesh.shape),
    )
    if found != (layout.federation, (layout.replicate, layout.shard)):
        raise RuntimeError(f"xFFL made {found[0]} groups of {found[1]} ranks, but the run needs {layout}")
