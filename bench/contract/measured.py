"""What a training measured, written by its rank 0.

Times are in seconds and memory in bytes, unless a name says otherwise.
"""

from __future__ import annotations

import math

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from bench.contract.base import Document
from bench.contract.outcomes import Caution


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
