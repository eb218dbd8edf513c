"""From one point of the matrix to the run that it asks for, or the reason why it cannot be."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bench.contract import AxisValue, Run, Training
from bench.shapes import Shape
from bench.strategy import ImpossibleError, Layout, resolve
from matrix.expand import Point, matches
from matrix.source import read_source
from matrix.sweep import Sweep
from matrix.system import SystemFile


class Resolver:
    """Resolves points of one sweep on one system; what many points share is made once."""

    def __init__(self, sweep: Sweep, system: SystemFile) -> None:
        self._sweep = sweep
        self._system = system
        self._facts = system.facts
        self._shapes = sweep.shapes
        self._strategies = sweep.strategy_settings
        self._block = sweep.block_steps
        self._source = read_source(Path(sweep.data.path))
        self._overrides = [(override.when, override.changes) for override in sweep.overrides]
        self._training_axes = [axis for axis in sweep.labels if axis in Training.model_fields]
        self._trainings: dict[tuple[tuple[str, Any], ...], Training] = {}
        self._layout = functools.cache(self._new_layout)

    def run(self, point: Point) -> Run:
        """The run of the first repeat, without an id.

        What a strategy does not use stands at one value: without a federation `every` is 0, `cuda_streams` 1 and
        `federated_data` the default, so that points which differ in these alone have the same identity.

        Raises:
            ImpossibleError: the point cannot be run; the message is the reason.

        """
        nodes = int(point["nodes"])
        layout = self._layout(str(point["strategy"]), nodes)
        federated = layout.federation > 1
        shape = self._shapes[str(point["model"])]
        training = self._training(point, federated)
        self._check_length(training, shape)
        try:
            return Run(
                sweep=self._sweep.name,
                id="",
                repeat=0,
                labels=point,
                model=str(point["model"]),
                shape=shape,
                layout=layout,
                every=(self._strategies[str(point["strategy"])][1].every or 0) if federated else 0,
                cuda_streams=int(point["cuda_streams"]) if federated else 1,
                nodes=nodes,
                ranks_per_node=self._system.ranks_per_node,
                regime=self._sweep.regime,
                batch_size=self._micro_batch(point["batch_size"], layout.world),
                block=self._block,
                training=training,
                data=self._sweep.data.path,
                launcher=self._system.launcher,
                system=self._facts,
                limits=self._sweep.limits,
            )
        except ValidationError as error:
            # Every field is valid by now; what a Run checks beyond that is whether they add up.
            reasons = [details["msg"].removeprefix("Value error, ") for details in error.errors()]
            raise ImpossibleError("; ".join(reasons)) from error

    def _new_layout(self, strategy: str, nodes: int) -> Layout:
        if nodes > self._system.nodes:
            raise ImpossibleError(f"{nodes} nodes are more than the {self._system.nodes} of system {self._system.name}")
        kind, settings = self._strategies[strategy]
        return resolve(kind, settings, nodes, self._system.ranks_per_node)

    def _training(self, point: Point, federated: bool) -> Training:
        changes: dict[str, Any] = {}
        for when, change in self._overrides:
            if matches(point, when):
                changes |= change
        changes |= {axis: point[axis] for axis in self._training_axes}
        if not federated:
            changes["federated_data"] = Training.model_fields["federated_data"].default
        key = tuple(changes.items())
        if key not in self._trainings:
            self._trainings[key] = self._sweep.training.model_copy(update=changes)
        return self._trainings[key]

    def _check_length(self, training: Training, shape: Shape) -> None:
        length = training.sequence_length
        if length > shape.max_positions:
            raise ImpossibleError(f"sequence_length {length} is more than the model's {shape.max_positions} positions")
        if self._source and self._source.vocab_size > shape.vocab_size:
            raise ImpossibleError(
                f"the data's vocabulary of {self._source.vocab_size} is larger than the model's {shape.vocab_size}"
            )
        if self._source and self._source.sequence_length < length:
            # Longer samples are cut.
            raise ImpossibleError(
                f"sequence_length {length} is more than the {self._source.sequence_length} tokens of the data's samples"
            )

    def _micro_batch(self, batch_size: AxisValue, world: int) -> int:
        """Sequences per rank and step."""
        batch = int(batch_size)
        if self._sweep.regime == "micro-batch":
            return batch
        if batch % world:
            raise ImpossibleError(f"a global batch of {batch} sequences does not divide over {world} ranks")
        return batch // world
