"""The run that is asked for: one combination of a sweep, wholly resolved. `matrix` writes it, `bench` reads it."""

from __future__ import annotations

import hashlib
import json
from typing import Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from bench.contract.base import Affinity, AxisValue, Document, EngineName, LauncherName, Regime
from bench.contract.layout import Layout, canonical_name
from bench.contract.shapes import Shape
from bench.contract.training import Training


class System(Document):
    """The facts of the system file that a rank or a report needs."""

    name: str
    device: Literal["cpu", "cuda"]
    threads_per_rank: PositiveInt
    peak_flops: PositiveFloat | None = Field(None, description="peak dense bf16 FLOP/s per device, where not stock")
    environment: dict[str, str] = Field(default_factory=dict)
    affinity: Affinity = "none"


class Limits(Document):
    """When a run is given up."""

    run_seconds: PositiveFloat = Field(1800.0, description="wall time of one run")
    expected_seconds: PositiveFloat | None = Field(
        None, description="wall time that a run is expected to take; batch jobs are packed by it (run_seconds)"
    )
    hang_seconds: PositiveFloat = Field(300.0, description="time without progress of any kind")


class Wandb(Document):
    """Weights & Biases: where a run is tracked besides its own files."""

    mode: Literal["disabled", "offline", "online"] = Field("disabled", description="offline: synchronise later")
    entity: str | None = Field(None, description="user or team")
    project: str = Field("xffl-bench", description="project")
    group: str | None = Field(None, description="what runs are grouped by (the sweep's name)")
    name: str | None = Field(None, description="name of a run (its id)")
    notes: str | None = Field(None, description="free text")
    tags: list[str] = Field(default_factory=list, description="tags of every run")


class Library(Document):
    """What a probe found the installed xFFL library to do. "unknown" is what could not be tried on the probing machine;
    how each is found out stands in `bench.probe.probe`.
    """

    version: str = Field(description="version that the package states")
    commit: str | None = Field(description="commit that it was installed from, where the installation says so")
    digest: str = Field(description="SHA-256 over the package's files, which tells two installations apart")
    averaging: Literal["mean", "sum", "nothing", "unknown"] = Field(
        description="what groups hold after the training loop has averaged them"
    )
    group_data: Literal["different", "same", "unknown"] = Field(
        description="whether its data loaders give federated groups different samples"
    )
    streams: Literal["used", "inert", "unknown"] = Field(
        description="whether cuda_streams changes which communicators the averaging uses"
    )
    unequal_groups: Literal["mean", "wrong", "deadlock", "unknown"] = Field(
        description="what groups of unequal sizes hold after averaging"
    )
    image_mode: Literal["starts", "crashes", "unknown"] = Field(
        description="whether `xffl exec --image` reaches a node"
    )


class Run(Document):
    """One execution of one combination, wholly resolved: enough to repeat it by hand."""

    version: Literal[1] = 1
    sweep: str
    id: str
    repeat: NonNegativeInt
    labels: dict[str, AxisValue] = Field(description="the combination: every axis with its value's name")
    model: str
    shape: Shape
    layout: Layout
    every: NonNegativeInt = Field(description="optimizer steps between two federated averagings; 0 without federation")
    cuda_streams: PositiveInt = Field(description="concurrent communicators of the federated averaging")
    nodes: PositiveInt
    ranks_per_node: PositiveInt
    regime: Regime
    batch_size: PositiveInt = Field(description="micro-batch: sequences per rank and step")
    block: PositiveInt = Field(description="steps of a block, a common multiple of every interval in the sweep")
    training: Training
    data: str = Field(description="folder of the data set, made by save_to_disk")
    weights: str | None = Field(None, description="folder of safetensors to start from; null: made from the seed")
    wandb: Wandb = Wandb()
    engine: EngineName = "native"
    launcher: LauncherName = "torchrun"
    library: Library | None = Field(
        None, description="what the installed xFFL was found to do; only with engine xffl, and only once it was probed"
    )
    system: System
    limits: Limits

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.layout.world != self.world:
            raise ValueError(f"layout {self.layout} has {self.layout.world} ranks, the run has {self.world}")
        if self.every and self.block % self.every:
            raise ValueError(f"a block of {self.block} steps is no multiple of the interval of {self.every}")
        if self.window_steps < self.block:
            raise ValueError(
                f"training.steps {self.training.steps} less warmup_steps {self.training.warmup_steps} "
                f"holds no whole block of {self.block} steps"
            )
        if self.training.steps % self.block:
            raise ValueError(
                f"training.steps {self.training.steps} is no multiple of the block of {self.block} steps: "
                "the window would not hold each strategy's own share of averagings"
            )
        return self

    @property
    def world(self) -> int:
        """World size: ranks in all."""
        return self.nodes * self.ranks_per_node

    @property
    def window_steps(self) -> int:
        """Steps that count: the last ones, in whole blocks."""
        return (self.training.steps - self.training.warmup_steps) // self.block * self.block

    @property
    def first_window_step(self) -> int:
        """Index of the first step of the window; those before it are warm-up."""
        return self.training.steps - self.window_steps

    @property
    def seed(self) -> int:
        """Of weights and order of samples: another one in each repeat, the same for all strategies, so that the spread
        between repeats is the noise floor of a loss.
        """
        return self.training.seed + self.repeat

    @property
    def readers(self) -> int:
        """Ranks that see different data."""
        return self.layout.group if self.training.federated_data == "share" else self.world

    @property
    def is_sharded(self) -> bool:
        """Whether FSDP2 holds the model."""
        return self.training.is_sharded(self.layout)

    @property
    def shard_groups_cross_nodes(self) -> bool:
        """Whether some shard group has ranks on several nodes: groups are consecutive ranks, and so are nodes."""
        return self.ranks_per_node % self.layout.shard != 0

    @property
    def crosses_by_size(self) -> bool:
        """The same where another shard size would not; what fsdp shards over is the world."""
        return self.shard_groups_cross_nodes and canonical_name(self.layout) != "fsdp"

    @property
    def step_sequences(self) -> int:
        """Sequences that a rank trains on in a step: its micro-batches together."""
        return self.batch_size * self.training.accumulation

    def identity(self) -> str:
        """Digest of what is executed. Labels, names, limits and the path of the data (one per sweep) are left out:
        two strategies that resolve to the same layout are one run. The paths of the weights and of the checkpoint that
        training starts from are part of it, so an id is the same on every machine where these lie alike.
        """
        executed = self.model_dump(
            mode="json",
            exclude={
                **dict.fromkeys(
                    ("version", "sweep", "id", "labels", "model", "regime", "data", "limits", "wandb", "library"), True
                ),
                "training": {"epochs"},  # `steps` says what is executed
            },
        )
        return hashlib.sha256(json.dumps(executed, sort_keys=True).encode()).hexdigest()[:12]
