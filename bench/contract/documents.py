"""The two documents that cross the project's borders: the run that is asked for and the result that came out.

`matrix` writes a `Run`, `bench` reads it and writes what it measured, `matrix` makes a `Result` of that, and
`reports` reads both. Nothing here imports torch, so that `plan`, `status` and `report` answer at once.
Times are in seconds, memory in bytes, unless a name says otherwise.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from bench.contract.layout import Layout, StrategyName, canonical_name
from bench.contract.outcomes import Caution, Outcome
from bench.contract.shapes import Shape

Precision = Literal["fp32", "bf16", "bf16-mixed"]
DType = Literal["fp32", "bf16"]
Regime = Literal["micro-batch", "global-batch"]
Engine = Literal["native", "xffl"]
Launcher = Literal["torchrun", "xffl"]
Affinity = Literal["none", "cores"]
AxisValue = bool | int | float | str

SOURCE_FILE = "source.json"
"""Beside a data set: where it comes from (vocabulary, sequence length, entropy rate)."""


class Document(BaseModel):
    """Base of all that is written to a file: immutable, and no key that is not known.

    A loss that is not finite is written as "NaN" or "Infinity", so that a diverged run's result can be read again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class Training(Document):
    """How a run trains. Every field can be an axis of the matrix."""

    sequence_length: int = Field(128, ge=2, description="tokens trained per sample")
    steps: PositiveInt = Field(24, description="optimizer steps in all, warm-up included")
    epochs: PositiveFloat | None = Field(
        None, description="passes over the data in place of `steps`, rounded down to whole blocks"
    )
    accumulation: PositiveInt = Field(1, description="micro-batches of an optimizer step")
    warmup_steps: NonNegativeInt = Field(8, description="first steps that the throughput leaves out, at least")
    precision: Precision = Field(
        "fp32",
        description="parameters, gradients and optimizer state (bf16: pure, as xFFL; bf16-mixed: computes in bf16, "
        "keeps fp32 masters)",
    )
    reduce_dtype: DType | None = Field(
        None, description="type that gradients are summed in (bf16 in pure bf16, else fp32)"
    )
    attention: Literal["sdpa", "eager", "flash"] = Field(
        "sdpa", description="attention implementation; flash needs the flash-attn package and a GPU"
    )
    experts: Literal["eager", "batched_mm", "grouped_mm"] = Field(
        "grouped_mm", description="how Mixtral's experts are computed"
    )
    activation_checkpointing: Literal["none", "full", "selective"] = Field(
        "none", description="layers whose activations are recomputed in the backward pass: none, all, some"
    )
    checkpointed_layers: PositiveInt = Field(2, description="selective checkpointing: every n-th decoder layer")
    compile: bool = Field(False, description="torch.compile of every decoder layer and of the loss")
    reshard_after_forward: bool = Field(
        True, description="free a layer's gathered parameters between forward and backward pass"
    )
    prefetch: NonNegativeInt = Field(
        0,
        description="layers gathered ahead explicitly (0: FSDP2's own way, one layer in the backward pass)",
    )
    optimizer: Literal["adamw", "sgd"] = Field("adamw", description="sgd is plain: no momentum, no weight decay")
    adamw_kernels: Literal["fused", "foreach", "loop"] = Field(
        "fused", description="kernels of AdamW's step (loop: one parameter after the other)"
    )
    clip_norm: NonNegativeFloat = Field(
        0.0, description="largest norm of a federated group's gradient; 0 does not clip"
    )
    lr_scaling: Literal["none", "linear", "sqrt"] = Field(
        "none", description="growth of the learning rate with the ranks of a federated group"
    )
    schedule_steps: PositiveInt | None = Field(
        None,
        description="steps of the learning rate's schedule, where a run is a part of a longer training (steps)",
    )
    learning_rate: PositiveFloat = Field(3e-4, description="peak learning rate")
    beta1: float = Field(0.9, ge=0, lt=1, description="AdamW's first beta")
    beta2: float = Field(0.95, ge=0, lt=1, description="AdamW's second beta")
    weight_decay: NonNegativeFloat = Field(0.1, description="AdamW's decoupled weight decay")
    lr_warmup_fraction: float = Field(0.01, ge=0, le=1, description="part of the steps that warms the rate up linearly")
    lr_decay_ratio: float = Field(0.01, ge=0, le=1, description="last learning rate over the peak (cosine between)")
    seed: NonNegativeInt = Field(
        1, description="of the initial weights and the order of samples; repeat r uses seed + r"
    )
    deterministic: bool = Field(False, description="deterministic algorithms only; costs speed")
    federated_data: Literal["partition", "share"] = Field(
        "partition", description="whether federated groups read different samples or the same ones"
    )
    preload: bool = Field(False, description="local rank 0 reads data and weights into the page cache early")
    save_model: bool = Field(False, description="write the trained model in Hugging Face's form, after the window")
    save_checkpoint: bool = Field(False, description="write a sharded checkpoint to go on from, after the window")
    start_from: str | None = Field(None, description="checkpoint of another run to go on from")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="what ranks write to their logs"
    )
    workers: NonNegativeInt = Field(0, description="data loading processes per rank")
    subsample: PositiveInt | None = Field(None, description="use only this many training samples")
    val_batch_size: PositiveInt | None = Field(None, description="sequences per rank in validation (batch_size)")
    val_samples: PositiveInt = Field(
        32, description="samples of the validation split that are used, the same ones always"
    )

    def is_sharded(self, layout: Layout) -> bool:
        """Whether FSDP2 holds the model: where it is sharded, or where types differ, for which DDP has no policy."""
        differs = self.precision == "bf16-mixed" or (layout.group > 1 and self.reduction != self.held)
        return layout.shard > 1 or differs

    @property
    def held(self) -> DType:
        """The type that parameters, and so optimizer states, are kept in."""
        return "bf16" if self.precision == "bf16" else "fp32"

    @property
    def computation(self) -> DType:
        """The type that matrix products are computed in."""
        return "fp32" if self.precision == "fp32" else "bf16"

    @property
    def reduction(self) -> DType:
        """The type that gradients are summed in."""
        return self.reduce_dtype or self.held


SETTINGS = frozenset({*Training.model_fields, "engine", "launcher"})
"""Axes beside the model, the strategy, the nodes, the batch size and the streams."""


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
    engine: Engine = "native"
    launcher: Launcher = "torchrun"
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


class Window(Document):
    """The steps that count, and how fast they went."""

    first_step: NonNegativeInt
    steps: PositiveInt
    block: PositiveInt
    seconds: PositiveFloat = Field(description="first rank's start of its first step to last rank's end of its last")
    tokens: PositiveInt = Field(description="labels that are not -100, over the world")
    block_tokens_per_s: list[float] = Field(description="one figure per block: the spread inside a run")
    step_s_quartiles: tuple[float, float, float] = Field(description="of the steps, each its group's slowest rank")
    aggregations: NonNegativeInt
    aggregation_s_median: float | None

    @property
    def tokens_per_s(self) -> float:
        """Tokens trained in the window over its wall time."""
        return self.tokens / self.seconds


class Memory(Document):
    """Maximum over ranks, in bytes. What a device does not have is None."""

    peak: NonNegativeInt = Field(
        description="GPU: active_bytes.all.peak; CPU: resident set above what the imports took"
    )
    state: NonNegativeInt = Field(description="counted: parameters, gradients and optimizer state of one rank")
    averaging_buffers: NonNegativeInt = Field(description="fp32 buffers of the federated averaging")
    reserved_peak: NonNegativeInt | None = None
    device_used_peak: NonNegativeInt | None = None
    allocator_retries: NonNegativeInt | None = None
    allocator_ooms: NonNegativeInt | None = None


class Utilisation(Document):
    """FLOPs by both conventions, against the device's peak and against a matrix product measured in the same run."""

    flops_per_token: PositiveFloat
    flops_per_token_causal: PositiveFloat
    peak_flops: PositiveFloat | None = Field(None, description="dense FLOP/s per device at the run's precision")
    mfu: float | None = None
    mfu_causal: float | None = None
    matmul_flops: PositiveFloat = Field(description="FLOP/s per rank of a matrix product, all ranks at once")
    matmul_fraction: float = Field(description="the run's FLOP/s per rank (full attention) over matmul_flops")


class Loss(Document):
    """Losses in nats per token. Training losses are means over groups, weighted by tokens, before averaging."""

    first: float
    final: float = Field(description="mean over the window's last block")
    validation: float
    entropy_rate: float | None = Field(None, description="floor of a synthetic source, where it is known")

    @property
    def perplexity(self) -> float:
        """Exp of the validation loss; infinite where that overflows."""
        try:
            return math.exp(self.validation)
        except OverflowError:
            return math.inf


class Startup(Document):
    """Seconds of each phase before the steps, the slowest rank's."""

    rendezvous: float
    model: float
    data: float
    first_step: float


class Saved(Document):
    """What a run wrote after its window, and how long that took: seconds of the slowest rank, bytes of all files."""

    model_s: NonNegativeFloat | None = None
    model_bytes: NonNegativeInt | None = None
    checkpoint_s: NonNegativeFloat | None = None
    checkpoint_bytes: NonNegativeInt | None = None


class Seat(Document):
    """Where a rank ran."""

    rank: NonNegativeInt
    host: str
    local_rank: NonNegativeInt
    device: str
    cores: str = Field(description="processor cores that it could use, as 0-3,8")


class Provenance(Document):
    """Where and with what a run was made; environment variables by an allow-list."""

    python: str
    packages: dict[str, str]
    commit: str | None
    dirty: bool | None
    xffl: str | None = Field(None, description="commit (or digest) of the xFFL library that trained")
    image: str | None = Field(None, description="SHA-256 of the image that ranks ran in, None where they ran in none")
    hosts: list[str] = Field(description="host of every node, in rank order")
    cores: int = Field(description="processor cores a host's ranks may use")
    devices: list[str]
    seats: list[Seat] = Field(default_factory=list, description="where each rank ran, in rank order")
    threads: int = Field(description="intra-op threads of a rank, as torch reports them")
    environment: dict[str, str]


class Measured(Document):
    """What the training itself writes, on rank 0, once every rank has reached the end of the measurement."""

    window: Window
    tokens_per_step: PositiveInt
    tokens_per_update: PositiveFloat = Field(description="tokens behind one optimizer update: a group's share")
    trained_tokens: PositiveInt
    distinct_tokens: PositiveInt
    parameters: PositiveInt
    memory: Memory
    utilisation: Utilisation
    loss: Loss
    startup: Startup
    saved: Saved = Saved()
    provenance: Provenance
    cautions: list[Caution]
    invalid: str = Field("", description="why the figures mean nothing, empty where they do")


class RankEnd(Document):
    """A rank's own account of its end, written last of all."""

    rank: NonNegativeInt
    completed: bool
    phase: str = Field(description="the phase it was in")
    step: int = Field(description="optimizer steps finished; -1 before the first")
    error: str | None = None
    out_of_memory: bool = False


class Heartbeat(Document):
    """Rank 0's sign of life; the file's age tells a hang from work."""

    phase: str
    step: int
    steps: int


class Allocation(Document):
    """Where a scheduler put a run."""

    job: str = Field(description="id of the job")
    hosts: list[str] = Field(description="hosts of the allocation, in node order; a run has the first of them")
    switches: dict[str, str] = Field(description="lowest switch over each host, where the scheduler knows it")


class JobEnd(Document):
    """What became of a batch job."""

    id: str
    state: str = Field(description="as Slurm names it; matrix.schedulers.slurm.states has two more, KILLED and GONE")
    said: str = Field(description="what that means, for people, with the last line of the job's log where it failed")
    seconds: NonNegativeFloat = Field(description="wall time of the allocation")
    nodes: PositiveInt

    @property
    def node_hours(self) -> float:
        """What it cost."""
        return self.nodes * self.seconds / 3600


class Result(Document):
    """What became of a run. `measured` is there when the window was measured to its end, whatever came after it."""

    version: Literal[1] = 1
    run: str
    attempt: NonNegativeInt
    outcome: Outcome
    reason: str = Field(description="the sentence that gave the run its outcome; empty when it completed")
    evidence: list[str] = Field(default_factory=list, description="lines of logs and exit statuses behind the reason")
    started: str = Field(description="ISO 8601, UTC")
    seconds: NonNegativeFloat = Field(description="wall time of the attempt, as the runner saw it")
    allocation: Allocation | None = Field(None, description="where a scheduler put it")
    lost_to: str | None = Field(
        None, description="state of the job that ended while this attempt was under way, where that may be its doing"
    )
    measured: Measured | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.outcome is Outcome.COMPLETED and self.measured is None:
            raise ValueError("a completed run has measured figures")
        return self


class DeviceSpeed(Document):
    """What a rank's device did in a matrix product, all ranks at once."""

    rank: NonNegativeInt
    host: str
    local_rank: NonNegativeInt
    device: str
    matmul_flops: PositiveFloat = Field(description="FLOP/s")


class Bandwidth(Document):
    """How fast messages of a size went."""

    bytes_per_s: PositiveFloat
    message_bytes: PositiveInt = Field(description="smaller where a small message was slow already")


class NodeSpeed(Document):
    """What the ranks of a node did among themselves, all nodes at once."""

    host: str
    inside: Bandwidth | None = Field(description="bus bandwidth of an all-reduce; None with one rank")


class LinkSpeed(Bandwidth):
    """What two nodes did that are neighbours in the ring of nodes, one rank on each: a message there and back."""

    hosts: tuple[str, str]


class Preflight(Document):
    """What the machines of an allocation and the links between them did before any run."""

    version: Literal[1] = 1
    seconds: PositiveFloat = Field(description="that it took, without the ranks' start")
    devices: list[DeviceSpeed] = Field(description="in rank order")
    nodes: list[NodeSpeed] = Field(description="in node order")
    between_nodes: Bandwidth | None = Field(
        description="bus bandwidth of an all-reduce among one rank of each node; None with one node"
    )
    links: list[LinkSpeed] = Field(description="by the first node of each pair; the last one is closed to a ring")


class Cell(Document):
    """One point of the matrix: what it resolves to, and which runs stand for it."""

    labels: dict[str, AxisValue] = Field(description="every axis with its value's name")
    status: Literal["run", "same", "impossible"]
    layout: Layout | None = Field(None, description="None where the combination is impossible")
    canonical: StrategyName | None = Field(None, description="the simplest strategy that the layout is")
    same_as: dict[str, AxisValue] = Field(
        default_factory=dict, description="labels of the cell that is run instead, where they differ from this one's"
    )
    reason: str = Field("", description="why it is impossible, or the same run as another")
    runs: list[str] = Field(default_factory=list, description="run ids, one per repeat; a `same` cell has the other's")


class Plan(Document):
    """A sweep, expanded: every cell in the order of the axes, and the runs in the order of execution."""

    version: Literal[1] = 1
    sweep: str
    axes: dict[str, list[AxisValue]] = Field(description="labels of every axis, in the order of the matrix file")
    reference: dict[str, AxisValue] = Field(
        description="labels (strategy, nodes) that speed-up and efficiency are held against; other axes: the row's own"
    )
    regime: Regime
    repeats: PositiveInt
    cells: list[Cell]
    order: list[str] = Field(description="run ids, randomised inside each repeat, repeats one after the other")

    def settings(self, labels: dict[str, AxisValue]) -> dict[str, AxisValue]:
        """The settings that tell a cell from others, for people to read: all that vary, but of more than three only
        those that have not their axis's first value.
        """
        varying = [axis for axis, values in self.axes.items() if len(values) > 1 and axis in SETTINGS]
        if len(varying) > 3:
            varying = [axis for axis in varying if labels[axis] != self.axes[axis][0]]
        return {axis: labels[axis] for axis in varying}
