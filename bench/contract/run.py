"""A run's specification: one fully resolved combination of a sweep. `matrix` writes it, `bench` reads it."""

from __future__ import annotations

import hashlib
import json
from typing import Literal, Self

from pydantic import Field, PositiveFloat, model_validator

from bench.contract.base import (
    Affinity,
    AxisValue,
    Document,
    EngineName,
    LauncherName,
    NonNegativeInt,
    PositiveInt,
    Purpose,
    Regime,
)
from bench.contract.layout import Layout, canonical_name
from bench.contract.shapes import Shape
from bench.contract.training import Training


class System(Document):
    """The part of the system file that ranks and reports need."""

    name: str
    device: Literal["cpu", "cuda"]
    threads_per_rank: PositiveInt
    peak_flops: PositiveFloat | None = Field(None, description="peak dense bf16 FLOP/s per device, if not a stock part")
    environment: dict[str, str] = Field(default_factory=dict)
    affinity: Affinity = "none"
    memory_per_rank: PositiveFloat | None = Field(None, description="GiB that a rank may use")


class Limits(Document):
    """Time limits of a run."""

    run_seconds: PositiveFloat = Field(1800.0, description="wall time of one run")
    expected_seconds: PositiveFloat | None = Field(
        None, description="expected wall time of a run, by which batch jobs are packed (run_seconds)"
    )
    hang_seconds: PositiveFloat = Field(300.0, description="longest time without any progress")
    trial_seconds: PositiveFloat | None = Field(
        None,
        description="expected wall time of a trial of `regime: max-batch`, by which batch jobs are packed "
        "(expected_seconds)",
    )


class Search(Document):
    """A micro-batch that is found before the first repeat of a combination: the largest that fits in memory."""

    start: PositiveInt = Field(description="sequences per rank of the first trial")
    limit: PositiveInt = Field(description="most sequences per rank that are tried")


class Wandb(Document):
    """Tracking by Weights & Biases, in addition to the run's own files."""

    mode: Literal["disabled", "offline", "online"] = Field("disabled", description="offline: synchronise later")
    entity: str | None = Field(None, description="user or team")
    project: str = Field("xffl-bench", description="project")
    group: str | None = Field(None, description="what runs are grouped by (the sweep's name)")
    name: str | None = Field(None, description="name of a run (its id)")
    notes: str | None = Field(None, description="free text")
    tags: list[str] = Field(default_factory=list, description="tags of every run")
    per_group: bool = Field(
        False, description="a run of W&B for each federated group, which W&B groups by the id of the run"
    )
    live: bool = Field(False, description="also send loss and tokens/s while a run trains, by a process beside rank 0")

    @property
    def follows(self) -> bool:
        """True if a process follows the run while it trains."""
        return self.live and self.mode != "disabled"


class Library(Document):
    """Behaviour of the installed xFFL library, as found by `bench.probe.probe`; "unknown" could not be tried on the
    probing machine.
    """

    version: str = Field(description="version in the package's metadata")
    commit: str | None = Field(description="commit that it was installed from, if the installation records it")
    digest: str = Field(description="SHA-256 over the package's files, which distinguishes installations")
    averaging: Literal["mean", "sum", "nothing", "unknown"] = Field(
        description="parameters of the groups after an averaging of the training loop"
    )
    group_data: Literal["different", "same", "unknown"] = Field(
        description="whether its data loaders give different samples to federated groups"
    )
    streams: Literal["used", "inert", "unknown"] = Field(
        description="whether cuda_streams changes the communicators that the averaging uses"
    )
    unequal_groups: Literal["mean", "wrong", "deadlock", "unknown"] = Field(
        description="parameters of groups of unequal sizes after an averaging"
    )
    image_mode: Literal["starts", "crashes", "unknown"] = Field(
        description="whether `xffl exec --image` reaches a node"
    )


class Run(Document):
    """One execution of one combination, fully resolved: enough to repeat it by hand."""

    version: Literal[1] = 1
    sweep: str
    id: str
    repeat: NonNegativeInt
    purpose: Purpose = Field("measure", description="what the run is for; only `measure` enters tables of figures")
    labels: dict[str, AxisValue] = Field(description="the combination: every axis with its value's name")
    model: str
    shape: Shape
    layout: Layout
    every: NonNegativeInt = Field(description="optimizer steps between federated averagings; 0 without federation")
    cuda_streams: PositiveInt = Field(description="concurrent communicators of the federated averaging")
    nodes: PositiveInt
    ranks_per_node: PositiveInt
    regime: Regime
    batch_size: PositiveInt = Field(
        description="micro-batch: sequences per rank and step; with `search`, its start until the largest was found"
    )
    search: Search | None = Field(None, description="how batch_size is found; None if the matrix file gives it")
    memory_share: float = Field(
        1.0, gt=0, le=1, description="share of its memory that a rank may use: less than 1 in trials of a batch size"
    )
    block: PositiveInt = Field(description="steps of a block, a common multiple of every interval in the sweep")
    training: Training
    data: str = Field(description="folder of the data set, made by save_to_disk")
    weights: str | None = Field(None, description="folder of safetensors to start from; null: drawn from the seed")
    wandb: Wandb = Wandb()
    engine: EngineName = "native"
    launcher: LauncherName = "torchrun"
    library: Library | None = Field(
        None, description="findings of the probe of the installed xFFL; only with engine xffl, once it was probed"
    )
    system: System
    limits: Limits

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.layout.world != self.world:
            raise ValueError(f"layout {self.layout} has {self.layout.world} ranks, the run has {self.world}")
        if self.every and self.block % self.every:
            raise ValueError(f"a block of {self.block} steps is not a multiple of the interval of {self.every}")
        if self.window_steps < self.block:
            raise ValueError(
                f"training.steps {self.training.steps} minus warmup_steps {self.training.warmup_steps} "
                f"is less than one block of {self.block} steps: use {_whole(self.training.warmup_steps, self.block)} "
                "steps or more"
            )
        if self.training.steps % self.block:
            raise ValueError(
                f"training.steps {self.training.steps} is not a multiple of the block of {self.block} steps, so the "
                f"window would not contain each strategy's share of averagings: use {self._near_steps}"
            )
        if self.training.validate_every % self.block:
            raise ValueError(
                f"training.validate_every {self.training.validate_every} is not a multiple of the block of "
                f"{self.block} steps: federated groups have one model only after an averaging"
            )
        return self

    @property
    def _near_steps(self) -> str:
        """The nearest numbers of steps that are whole blocks and leave a window."""
        above = self.training.steps // self.block * self.block + self.block
        below = above - self.block
        return f"{below} or {above}" if below - self.training.warmup_steps >= self.block else f"{above}"

    def alone(self) -> Run:
        """Return the run without what it does beside training: saving, validations on the way, tracking by W&B."""
        apart = {"save_model": False, "save_checkpoint": False, "validate_every": 0}
        return self.model_copy(update={"training": self.training.model_copy(update=apart), "wandb": Wandb()})

    @property
    def world(self) -> int:
        """World size: the number of ranks."""
        return self.nodes * self.ranks_per_node

    @property
    def window_steps(self) -> int:
        """Steps of the window: the last ones, in whole blocks."""
        return (self.training.steps - self.training.warmup_steps) // self.block * self.block

    @property
    def first_window_step(self) -> int:
        """Index of the first step of the window; those before it are warm-up."""
        return self.training.steps - self.window_steps

    @property
    def validated_steps(self) -> list[int]:
        """Indices of the steps after which the model is validated during the training; the last step is not one."""
        every = self.training.validate_every
        return list(range(every - 1, self.training.steps - 1, every)) if every else []

    @property
    def seed(self) -> int:
        """Seed of weights and sample order: different in each repeat, the same for all strategies, so that the spread
        over repeats is the noise floor of a loss.
        """
        return self.training.seed + self.repeat

    @property
    def readers(self) -> int:
        """Number of ranks that read different samples."""
        return self.layout.group if self.training.federated_data == "share" else self.world

    @property
    def is_sharded(self) -> bool:
        """True if FSDP2 manages the model."""
        return self.training.is_sharded(self.layout)

    @property
    def shard_groups_cross_nodes(self) -> bool:
        """True if a shard group spans several nodes; the ranks of a group are consecutive, and so are a node's."""
        return self.ranks_per_node % self.layout.shard != 0

    @property
    def crosses_by_size(self) -> bool:
        """True if a shard group spans several nodes and another shard size would not: fsdp always shards over all."""
        return self.shard_groups_cross_nodes and canonical_name(self.layout) != "fsdp"

    @property
    def step_sequences(self) -> int:
        """Sequences that a rank trains on per step, over all micro-batches."""
        return self.batch_size * self.training.accumulation

    @property
    def positions_per_step(self) -> int:
        """Positions of an optimizer step of all ranks: its tokens, and padding."""
        return self.world * self.step_sequences * self.training.sequence_length

    def identity(self) -> str:
        """Return a digest of what is executed: 12 hexadecimal digits.

        Labels, names, limits and the path of the data (one per sweep) are left out, so that two strategies with the
        same layout are one run. The paths of the weights and of the checkpoint are included: ids agree between machines
        that have these at the same paths. A batch size that is searched for is left out: the search stands for it.
        """
        executed = self.model_dump(
            mode="json",
            exclude={
                **dict.fromkeys(
                    ("version", "sweep", "id", "labels", "model", "regime", "data", "limits", "wandb", "library"), True
                ),
                "training": {"epochs"},  # `steps` is what is executed
            },
        )
        if self.shape.padding_token is None:
            del executed["shape"]["padding_token"]  # ids agree with those of versions without this key, and those below
        if self.purpose == "measure":
            del executed["purpose"]
        if not self.training.validate_every:
            del executed["training"]["validate_every"]
        if self.system.memory_per_rank is None:
            del executed["system"]["memory_per_rank"]
        if self.memory_share == 1:
            del executed["memory_share"]
        del executed["search" if self.search is None else "batch_size"]
        return hashlib.sha256(json.dumps(executed, sort_keys=True).encode()).hexdigest()[:12]


def _whole(warm_up: int, block: int) -> int:
    """Return the fewest steps that are whole blocks and have one after the warm-up."""
    return -(-(warm_up + block) // block) * block
