"""The native engine: PyTorch's FSDP2 or DDP within a group, federated averaging between groups.

All strategies share one training path; with one group there is no averaging.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.distributed.fsdp import FSDPModule
from torch.nn.parallel import DistributedDataParallel

from bench.contract.results.breakdown import Part
from bench.contract.results.measured import Saved
from bench.contract.run import Run
from bench.contract.storage.files import AttemptFolder
from bench.data.dataset import IGNORED_LABEL, RunData, load
from bench.data.preload import Preload, preload
from bench.engines.loss import LossFunction, batch_loss, cross_entropy
from bench.measure.clock import StepClock
from bench.measure.parts import PartsClock
from bench.measure.progress import Watcher
from bench.measure.window import Trained
from bench.models.build import build
from bench.models.optim import build_optimizer, clip, learning_rate, set_learning_rate
from bench.models.state import local_parameters, state_bytes
from bench.parallel.averaging_check import Witness
from bench.parallel.federation import FederatedAverage
from bench.parallel.mesh import Position, make_groups, process_group, wait_for_all
from bench.saving.checkpoint import go_on
from bench.saving.save import save


class NativeEngine:
    """Training by PyTorch's FSDP2 or DDP (see `bench.engines.base.Engine`)."""

    def __init__(self, run: Run, position: Position, device: torch.device) -> None:
        self._run = run
        self._position = position
        self._device = device
        self._reading: Preload | None = None
        self._average: FederatedAverage | None = None
        self._first_step = 0

    @contextmanager
    def world(self) -> Iterator[None]:
        """Create the process group and the layout's groups for the duration of the block."""
        with process_group(self._device, timeout=self._run.limits.run_seconds):  # the runner detects hangs
            self._groups = make_groups(self._run, self._position.rank, self._device)
            yield

    def preload(self) -> None:
        """Start reading weights and data, in a thread of local rank 0."""
        self._reading = preload(self._run, self._position.local_rank)

    def build(self, alive: Callable[[], None]) -> None:
        """Build model and optimizer, with initial values or those of a checkpoint."""
        self._model: nn.Module = build(self._run, self._groups, self._device, alive)
        self._optimizer = build_optimizer(self._model, self._run.training)
        self._first_step = go_on(self._run, self._model, self._optimizer, self._position.rank, alive)

    def load(self, alive: Callable[[], None]) -> RunData:
        """Open the data and set up the federated averaging."""
        self._data = load(self._run, self._position.rank, self._first_step)
        if self._groups.holders:
            self._average = FederatedAverage(local_parameters(self._model), self._groups.holders)
        if self._reading is not None:  # it must not disturb the steps
            self._reading.wait(alive)
        if self._run.training.preload:  # no rank starts before every node's local rank 0 has finished reading
            wait_for_all(alive)
        return self._data

    def train(self, watcher: Watcher, validation: Callable[[], float]) -> Trained:
        """Train all steps, checking every averaging."""
        run, average = self._run, self._average
        witness = Witness(average.parameters) if average else None
        return train(run, self._model, self._optimizer, average, self._data, self._device, watcher, witness, validation)

    @property
    def model(self) -> nn.Module:
        """The model, sharded or wrapped in DDP."""
        return self._model

    def memory(self) -> dict[str, int]:
        """Return bytes of state and averaging buffers on this rank."""
        return {
            "state": state_bytes(self._model, self._optimizer),
            "averaging_buffers": self._average.buffer_bytes if self._average else 0,
        }

    def save(self, folder: AttemptFolder, alive: Callable[[], None]) -> Saved:
        """Write model and checkpoint, if the run asks for them."""
        rank, first = self._position.rank, self._first_step
        return save(self._run, folder, self._model, self._optimizer, rank, first, alive)

    def release(self) -> None:
        """Release model, optimizer, averaging, groups and data."""
        del self._model, self._optimizer, self._average, self._groups, self._data
        gc.collect()


def _reduce_replicas(model: nn.Module, wanted: bool) -> None:
    """Set whether the next backward pass ends with the sum over replicas: once per step, in its last micro-batch.

    A sharded gradient is still reduced over its shard group in every micro-batch: unsharded, it would take the memory
    that sharding saves.
    """
    if isinstance(model, DistributedDataParallel):
        model.require_backward_grad_sync = wanted  # as set by its context manager `no_sync`
    elif isinstance(model, FSDPModule):
        model.set_requires_all_reduce(wanted)


def _reshard(model: nn.Module) -> None:
    """Free gathered parameters, which a forward pass without a backward one leaves: the next step gathers its own."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def train(
    run: Run,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: Callable[[], None] | None,
    data: RunData,
    device: torch.device,
    watcher: Watcher,
    witness: Witness | None = None,
    validation: Callable[[], float] | None = None,
) -> Trained:
    """Train `run.training.steps` optimizer steps; `average` averages the groups, None with one group.

    `witness` copies elements around each averaging. Losses stay on the device until the last step: reading one would
    synchronise the device. `validation` returns the loss of the model, and is called where the run validates.
    """
    training = run.training
    clock = PartsClock(device) if run.purpose == "breakdown" else StepClock(device)
    loss_function: LossFunction = torch.compile(cross_entropy) if training.compile else cross_entropy
    # Not lists of small tensors, which keep the heap of a CPU from being reused: it would grow with every step.
    losses = torch.empty(training.steps, training.accumulation, device=device)
    tokens = torch.empty(training.steps, training.accumulation, dtype=torch.int64, device=device)
    validations: list[float] = []
    validated = frozenset(run.validated_steps if validation else ())
    batches = iter(data.train)
    for step in range(training.steps):
        if step == run.first_window_step:
            clock.align()
        clock.begin()
        set_learning_rate(optimizer, learning_rate(run, data.order.first_step + step))
        for micro in range(training.accumulation):
            clock.enter(Part.DATA)
            batch = next(batches).to(device)
            clock.enter(Part.FORWARD)
            if training.accumulation > 1:
                _reduce_replicas(model, micro + 1 == training.accumulation)
            loss = batch_loss(model, batch, loss_function)
            clock.enter(Part.BACKWARD)
            (loss / training.accumulation).backward()
            clock.enter(Part.REST)
            losses[step, micro] = loss.detach()
            tokens[step, micro] = (batch.labels != IGNORED_LABEL).sum()
        clock.enter(Part.OPTIMIZER)
        if training.clip_norm:
            clip(model, training.clip_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        clock.enter(Part.REST)
        if average and (step + 1) % run.every == 0:  # also after the last step, a multiple of every interval
            if witness:
                witness.before()
            clock.aggregation(average)
            if witness:
                witness.after()
        clock.end()
        watcher.finished(step, losses[step])
        if validation and step in validated:
            validations.append(validation())
            _reshard(model)
            clock.wait()  # all ranks begin the next step together, at which `Steps.of` ends the pause
    begins, ends, arrivals, aggregations = clock.read()
    return Trained(
        losses=((losses.double() * tokens).sum(1) / tokens.sum(1)).tolist(),
        tokens=tokens.sum(1).tolist(),
        begins=begins,
        ends=ends,
        arrivals=arrivals,
        aggregations=aggregations,
        averaged=witness.read() if witness else [],
        parts=clock.parts(),
        validations=validations,
    )
