"""Measurements of a run, written by its rank 0.

Times are in seconds and memory in bytes, unless a name has another unit.
"""

from __future__ import annotations

import math

from pydantic import Field, NonNegativeFloat, PositiveFloat

from bench.contract.base import Document, NonNegativeInt, PositiveInt
from bench.contract.results.breakdown import Breakdown
from bench.contract.results.outcomes import Caution


class Window(Document):
    """The measured steps and their throughput."""

    first_step: NonNegativeInt
    steps: PositiveInt
    block: PositiveInt
    seconds: PositiveFloat = Field(
        description="first rank's start of the first step to last rank's end of the last step"
    )
    tokens: PositiveInt = Field(description="labels other than -100, summed over the world")
    block_tokens_per_s: list[PositiveFloat] = Field(description="throughput of each block: the spread within a run")
    step_s_quartiles: tuple[NonNegativeFloat, NonNegativeFloat, NonNegativeFloat] = Field(
        description="quartiles of step times; a step takes as long as the slowest rank of its group"
    )
    aggregations: NonNegativeInt
    aggregation_s_median: float | None = Field(
        description="time of an averaging on the rank that spent most, waiting for the last rank included: median over "
        "averagings; None without one, or if the engine did not time it"
    )
    aggregation_wait_s_median: float | None = Field(
        None,
        description="part of an averaging from the first rank's arrival to the last one's, among ranks that hold the "
        "same shard: the longest wait, median over averagings",
    )
    aggregation_transfer_s_median: float | None = Field(
        None,
        description="part of an averaging from the arrival of the last rank with the same shard to its end "
        "on the rank that ends last: median over averagings",
    )

    @property
    def tokens_per_s(self) -> float:
        """Tokens trained in the window divided by its wall time."""
        return self.tokens / self.seconds


class Memory(Document):
    """Memory in bytes, maximum over ranks; None if the device has no such figure."""

    peak: NonNegativeInt = Field(
        description="GPU: active_bytes.all.peak; CPU: peak of the anonymous memory minus that after the imports, off "
        "by at most the pages of mapped files that come or go within one step or loaded tensor"
    )
    state: NonNegativeInt = Field(description="counted size of one rank's parameters, gradients and optimizer state")
    averaging_buffers: NonNegativeInt = Field(description="fp32 buffers of the federated averaging")
    reserved_peak: NonNegativeInt | None = None
    device_used_peak: NonNegativeInt | None = None
    allocator_retries: NonNegativeInt | None = None
    allocator_ooms: NonNegativeInt | None = None


class Machine(Document):
    """State of a run's machines during the window, each figure of the machine with the largest.

    Figures of GPUs are by NVML's counters, read when all work before the window and all work in it was done.
    """

    others: float = Field(
        ge=0,
        description="fraction of all cores' time that was used by others than this run's ranks: processes of the "
        "machine, and other virtual machines (steal). Interrupts do not count. Off by some 0.05 core-seconds",
    )
    load: NonNegativeFloat = Field(
        description="load average over the minute before the window's end, the ranks included"
    )
    throttled_cores: NonNegativeInt | None = Field(
        None, description="cores that were thermally throttled; None if the kernel does not count it"
    )
    processor_joules: NonNegativeFloat | None = Field(
        None,
        description="energy of all processors of the run's machines, whatever else ran on them; None if one of them "
        "does not count it, or only root may read it",
    )
    gpu_joules: NonNegativeFloat | None = Field(
        None, description="energy of all GPUs of the run; None if one of them does not count it"
    )
    gpu_watts: NonNegativeFloat | None = Field(None, description="mean power of a GPU")
    throttled_gpus: NonNegativeInt | None = Field(
        None, description="GPUs that were slowed down by their temperature or by the host's power brake"
    )
    power_capped: NonNegativeFloat | None = Field(
        None, description="fraction of the time in which a GPU was slowed down by its power limit: the largest"
    )


class Utilisation(Document):
    """FLOPs by both conventions, relative to the device's peak and to a matrix product measured in the same run."""

    flops_per_token: PositiveFloat
    flops_per_token_causal: PositiveFloat
    peak_flops: PositiveFloat | None = Field(None, description="dense FLOP/s per device at the run's precision")
    mfu: PositiveFloat | None = None
    mfu_causal: PositiveFloat | None = None
    hfu: PositiveFloat | None = Field(None, description="as mfu, with recomputed activations; None in older results")
    hfu_causal: PositiveFloat | None = None
    matmul_flops: PositiveFloat = Field(
        description="FLOP/s of a sustained matrix product with all ranks busy at once, mean over ranks"
    )
    matmul_flops_min: PositiveFloat | None = Field(None, description="the slowest rank's")
    matmul_flops_max: PositiveFloat | None = Field(None, description="the fastest rank's")
    matmul_fraction: PositiveFloat = Field(
        description="the run's FLOP/s per rank (full attention) divided by matmul_flops"
    )


class Loss(Document):
    """Losses in nats per token. Training losses are token-weighted means over groups, taken before averaging."""

    first: float
    final: float = Field(description="mean over the window's last block")
    validation: float
    entropy_rate: float | None = Field(None, description="lower bound of the loss, if the data source is synthetic")

    @property
    def perplexity(self) -> float:
        """Exp of the validation loss; infinite on overflow."""
        try:
            return math.exp(self.validation)
        except OverflowError:
            return math.inf


class Validation(Document):
    """A validation of `training.validate_every`, or the one at the end of such a run."""

    step: PositiveInt = Field(description="optimizer steps done so far")
    trained_tokens: PositiveInt = Field(description="tokens trained so far, over all ranks")
    loss: float = Field(description="loss on the fixed validation samples, nats per token")


class Startup(Document):
    """Duration of each start-up phase in seconds, maximum over ranks."""

    rendezvous: float
    model: float
    data: float
    first_step: float


class Saved(Document):
    """Files that a run wrote after its window: seconds of the slowest rank, bytes of all files."""

    model_s: NonNegativeFloat | None = None
    model_bytes: NonNegativeInt | None = None
    checkpoint_s: NonNegativeFloat | None = None
    checkpoint_bytes: NonNegativeInt | None = None


class Seat(Document):
    """Placement of a rank."""

    rank: NonNegativeInt
    host: str
    local_rank: NonNegativeInt
    device: str
    cores: str = Field(description="CPU cores it was allowed to use, such as 0-3,8")


class Provenance(Document):
    """Software, hosts and devices of a run; environment variables by an allow-list."""

    python: str
    packages: dict[str, str]
    commit: str | None
    dirty: bool | None
    diff: str | None = Field(None, description="digest of the uncommitted changes, empty without any")
    xffl: str | None = Field(None, description="commit (or digest) of the xFFL library that trained")
    image: str | None = Field(None, description="SHA-256 of the container image, None without one")
    hosts: list[str] = Field(description="host of every node, in rank order")
    cores: int = Field(description="CPU cores that the ranks of a host may use")
    devices: list[str]
    cpu_model: str | None = Field(None, description="processors of the hosts by /proc/cpuinfo; None in older results")
    driver: str | None = Field(None, description="version of the GPUs' driver on rank 0's host; None without one")
    seats: list[Seat] = Field(default_factory=list, description="placement of each rank, in rank order")
    threads: int = Field(description="intra-op threads of a rank, as reported by torch")
    environment: dict[str, str]


class Measured(Document):
    """Figures that rank 0 writes once every rank has finished measuring."""

    window: Window
    tokens_per_step: PositiveInt
    tokens_per_update: PositiveFloat = Field(description="tokens per optimizer update: one group's share of a step")
    trained_tokens: PositiveInt
    distinct_tokens: PositiveInt
    parameters: PositiveInt
    memory: Memory
    utilisation: Utilisation
    loss: Loss
    validations: list[Validation] = Field(
        default_factory=list,
        description="validations during the training and the one at its end; empty without `training.validate_every`",
    )
    startup: Startup
    machine: Machine | None = Field(None, description="None in results of older versions")
    saved: Saved = Saved()
    breakdown: Breakdown | None = Field(None, description="parts of a step; only of breakdown runs")
    provenance: Provenance
    cautions: list[Caution]
    steps_digest: str | None = Field(None, description="SHA-256 of steps.parquet")
    invalid: str = Field("", description="reason why the figures are meaningless; empty if they are valid")
