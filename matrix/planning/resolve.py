"""Resolve a combination of the matrix to a run, or to the reason why it is impossible."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bench.contract.base import AxisValue
from bench.contract.layout import ImpossibleError, Layout, resolve
from bench.contract.resume import CheckpointError, check_goes_on, read_checkpoint
from bench.contract.run import Run, Search
from bench.contract.shapes import Shape
from bench.contract.traffic import BYTES
from bench.contract.training import Training
from matrix.config.saved_data import similar
from matrix.config.source import read_source, train_samples
from matrix.config.sweep import MatrixFile
from matrix.config.system import SystemFile
from matrix.planning.combinations.expand import Point, matches
from matrix.planning.combinations.irrelevant import without_unused
from matrix.planning.xffl_limits import unsupported


class Resolver:
    """Resolves combinations of one sweep on one system; results shared by many combinations are cached."""

    def __init__(self, sweep: MatrixFile, system: SystemFile) -> None:
        self._sweep = sweep
        self._system = system
        self._facts = system.facts
        self._models = sweep.models
        self._strategies = sweep.strategy_settings
        self._block = sweep.block_steps
        self._source = read_source(Path(sweep.data.path))
        self._overrides = [(override.when, override.changes) for override in sweep.overrides]
        self._training_axes = [axis for axis in sweep.labels if axis in Training.model_fields]
        self._trainings: dict[tuple[tuple[str, Any], ...], Training] = {}
        self._samples = train_samples(Path(sweep.data.path)) if sweep.uses("epochs") else None
        self._layout = functools.cache(self._new_layout)
        self._canonical = functools.cache(self._new_canonical)
        self._checkpoint = functools.cache(read_checkpoint)

    def run(self, point: Point) -> Run:
        """Return the run of the first repeat, without an id.

        Settings that a strategy does not use have fixed values: without a federation `every` is 0, `cuda_streams` 1
        and `federated_data` the default, so that combinations that differ only in these have the same identity.

        Raises:
            ImpossibleError: the combination cannot be run; the message is the reason.

        """
        nodes = int(point["nodes"])
        layout = self._layout(str(point["strategy"]), nodes)
        federated = layout.federation > 1
        model = self._models[str(point["model"])]
        requested = self._training(point)
        batch_size = self._micro_batch(point["batch_size"], layout.world, requested.accumulation)
        is_searched = self._sweep.regime == "max-batch"
        training = self._canonical(requested, model.shape, layout, batch_size)
        self._check_length(training, model.shape)
        self._check_attention(training)
        self._check_experts(training, model.shape)
        if point.get("engine") == "xffl" and (reason := unsupported(training, layout)):
            raise ImpossibleError(f"the xFFL library {reason}")
        try:
            run = Run(
                sweep=self._sweep.name,
                id="",
                repeat=0,
                labels=point,
                model=str(point["model"]),
                shape=model.shape,
                weights=model.weights,
                layout=layout,
                every=(self._strategies[str(point["strategy"])][1].every or 0) if federated else 0,
                cuda_streams=int(point["cuda_streams"]) if federated else 1,
                nodes=nodes,
                ranks_per_node=self._system.ranks_per_node,
                regime=self._sweep.regime,
                batch_size=batch_size,
                search=Search(start=batch_size, limit=self._sweep.max_batch.limit) if is_searched else None,
                block=self._block,
                training=training,
                data=self._sweep.data.path,
                wandb=self._sweep.wandb,
                engine=point.get("engine", "native"),
                launcher=point.get("launcher", self._system.launcher),
                system=self._facts,
                limits=self._sweep.limits,
            )
        except ValidationError as error:
            # Every field is valid at this point; a Run also checks that they are consistent.
            reasons = [details["msg"].removeprefix("Value error, ") for details in error.errors()]
            raise ImpossibleError("; ".join(reasons)) from error
        self._check_start(run)
        return run

    def _check_start(self, run: Run) -> None:
        """Check the run against the checkpoint it starts from, if that exists; it is checked again before running."""
        if run.training.start_from is None or not Path(run.training.start_from).exists():
            return
        try:
            check_goes_on(run, self._checkpoint(Path(run.training.start_from)))
        except CheckpointError as error:
            raise ImpossibleError(str(error)) from error

    def _new_layout(self, strategy: str, nodes: int) -> Layout:
        if nodes > self._system.nodes:
            raise ImpossibleError(f"{nodes} nodes are more than the {self._system.nodes} of system {self._system.name}")
        kind, settings = self._strategies[strategy]
        return resolve(kind, settings, nodes, self._system.ranks_per_node)

    def _training(self, point: Point) -> Training:
        changes: dict[str, Any] = {}
        for when, change in self._overrides:
            if matches(point, when):
                changes |= change
        changes |= {axis: point[axis] for axis in self._training_axes}
        key = tuple(changes.items())
        if key not in self._trainings:
            training = self._sweep.training.model_copy(update=changes)
            if training.start_from is not None:
                training = training.model_copy(update={"start_from": self._sweep.absolute(training.start_from)})
            self._trainings[key] = training
        return self._trainings[key]

    def _check_length(self, training: Training, shape: Shape) -> None:
        length = training.sequence_length
        if length > shape.max_positions:
            raise ImpossibleError(f"sequence_length {length} is more than the model's {shape.max_positions} positions")
        if self._source and self._source.vocab_size > shape.vocab_size:
            raise ImpossibleError(
                f"the data's vocabulary of {self._source.vocab_size} is larger than the model's {shape.vocab_size}: "
                f"use a model of your own with this vocabulary ({_own_model(shape, self._source.vocab_size)}, "
                "docs/guides/data.md), or other data"
            )
        if self._source and self._source.sequence_length < length:
            # Longer samples are truncated.
            key = f"{'axes' if 'sequence_length' in self._training_axes else 'training'}.sequence_length"
            raise ImpossibleError(
                f"sequence_length {length} is more than the {self._source.sequence_length} tokens of the data's "
                f"samples: use `{key}: {self._source.sequence_length}`, or data made with `--sequence-length {length}`"
            )

    def _check_attention(self, training: Training) -> None:
        if training.attention == "flash" and (self._facts.device == "cpu" or training.computation == "fp32"):
            raise ImpossibleError("flash attention needs a GPU and computes in bf16: choose sdpa here")

    def _check_experts(self, training: Training, shape: Shape) -> None:
        if not shape.experts or training.experts != "grouped_mm":
            return
        row = 16 // BYTES[training.computation]
        for name, width in (("hidden_size", shape.hidden_size), ("intermediate_size", shape.intermediate_size)):
            if width % row:
                raise ImpossibleError(
                    f"experts: grouped_mm needs rows of whole 16 bytes, and {name} {width} is not a multiple of {row}: "
                    "choose eager here"
                )

    def _micro_batch(self, batch_size: AxisValue, world: int, accumulation: int) -> int:
        """Return the sequences per rank and micro-batch, of the first trial if the largest is searched for."""
        batch = int(batch_size)
        if self._sweep.regime != "global-batch":
            return batch
        if batch % (world * accumulation):
            micro_batches = f" in {accumulation} micro-batches" if accumulation > 1 else ""
            raise ImpossibleError(
                f"a global batch of {batch} sequences is not divisible by {world} ranks{micro_batches}"
            )
        return batch // (world * accumulation)

    def _new_canonical(self, requested: Training, shape: Shape, layout: Layout, batch_size: int) -> Training:
        steps = requested.steps
        if requested.epochs is not None:
            readers = layout.group if requested.federated_data == "share" else layout.world
            steps = self._steps(requested.epochs, requested.subsample, readers * batch_size * requested.accumulation)
        own = None if self._sweep.regime == "max-batch" else batch_size
        return without_unused(requested.model_copy(update={"steps": steps}), shape, layout, own)

    def _steps(self, epochs: float, subsample: int | None, sequences_per_step: int) -> int:
        """Return the optimizer steps of `epochs` passes over the data, rounded down to whole blocks."""
        if self._samples is None:
            raise ImpossibleError(
                f"training.epochs needs the data set while planning, and {self._sweep.data.path} has none"
                f"{similar(Path(self._sweep.data.path))}: make it first with `xffl-bench data synthetic` or "
                "`xffl-bench data prepare`, or give training.steps"
            )
        samples = min(self._samples, subsample or self._samples)
        steps = int(epochs * samples) // sequences_per_step
        if steps < self._block:
            raise ImpossibleError(
                f"training.epochs {epochs:g} of {samples} samples are {steps} steps of {sequences_per_step} sequences, "
                f"fewer than a block of {self._block} steps"
            )
        return steps // self._block * self._block


def _own_model(shape: Shape, vocabulary: int) -> str:
    return f"model: {{name: ..., {shape.architecture}: {{vocab_size: {vocabulary}, ...}}}}"
