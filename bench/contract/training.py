"""Training settings, as a matrix file gives them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from bench.contract.base import Document, DType, Precision
from bench.contract.layout import Layout


class Training(Document):
    """Training settings of a run. Every field can be an axis of the matrix."""

    sequence_length: int = Field(128, ge=2, description="tokens trained per sample")
    steps: PositiveInt = Field(24, description="number of optimizer steps, including warm-up")
    epochs: PositiveFloat | None = Field(
        None, description="passes over the data, instead of `steps`; rounded down to whole blocks"
    )
    accumulation: PositiveInt = Field(1, description="micro-batches per optimizer step")
    warmup_steps: NonNegativeInt = Field(8, description="minimum number of first steps excluded from the window")
    precision: Precision = Field(
        "fp32",
        description="type of parameters, gradients and optimizer state (bf16: pure, as in xFFL; bf16-mixed: computes "
        "in bf16, keeps fp32 masters)",
    )
    reduce_dtype: DType | None = Field(
        None, description="type in which gradients are summed (bf16 in pure bf16, else fp32)"
    )
    attention: Literal["sdpa", "eager", "flash"] = Field(
        "sdpa", description="attention implementation; flash requires the flash-attn package and a GPU"
    )
    experts: Literal["eager", "batched_mm", "grouped_mm"] = Field(
        "grouped_mm", description="implementation of Mixtral's experts"
    )
    activation_checkpointing: Literal["none", "full", "selective"] = Field(
        "none", description="layers whose activations are recomputed in the backward pass: none, all or some"
    )
    checkpointed_layers: PositiveInt = Field(2, description="selective checkpointing: every n-th decoder layer")
    compile: bool = Field(False, description="torch.compile of every decoder layer and of the loss")
    reshard_after_forward: bool = Field(
        True, description="free a layer's gathered parameters between forward and backward passes"
    )
    prefetch: NonNegativeInt = Field(
        0,
        description="layers to prefetch explicitly (0: FSDP2's default, one layer in the backward pass)",
    )
    optimizer: Literal["adamw", "sgd"] = Field("adamw", description="optimizer; sgd has no momentum and no decay")
    adamw_kernels: Literal["fused", "foreach", "loop"] = Field(
        "fused", description="implementation of AdamW's step (loop: one parameter at a time)"
    )
    clip_norm: NonNegativeFloat = Field(
        0.0, description="maximum gradient norm of a federated group; 0 disables clipping"
    )
    lr_scaling: Literal["none", "linear", "sqrt"] = Field(
        "none", description="scaling of the learning rate with the number of ranks in a federated group"
    )
    schedule_steps: PositiveInt | None = Field(
        None,
        description="total steps of the learning rate's schedule, if the run is part of a longer training (steps)",
    )
    learning_rate: PositiveFloat = Field(3e-4, description="peak learning rate")
    beta1: float = Field(0.9, ge=0, lt=1, description="AdamW's first beta")
    beta2: float = Field(0.95, ge=0, lt=1, description="AdamW's second beta")
    weight_decay: NonNegativeFloat = Field(0.1, description="AdamW's decoupled weight decay")
    lr_warmup_fraction: float = Field(0.01, ge=0, le=1, description="fraction of the steps in the linear warm-up")
    lr_decay_ratio: float = Field(0.01, ge=0, le=1, description="final over peak learning rate (cosine decay)")
    seed: NonNegativeInt = Field(
        1, description="seed of the initial weights and the sample order; repeat r uses seed + r"
    )
    deterministic: bool = Field(False, description="use deterministic algorithms only; slower")
    federated_data: Literal["partition", "share"] = Field(
        "partition", description="samples of the federated groups: different (partition) or the same (share)"
    )
    preload: bool = Field(False, description="let local rank 0 read data and weights into the page cache early")
    save_model: bool = Field(False, description="write the trained model in Hugging Face's format, after the window")
    save_checkpoint: bool = Field(False, description="write a sharded checkpoint to resume from, after the window")
    start_from: str | None = Field(None, description="checkpoint of another run to resume from")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="log level of the ranks")
    workers: NonNegativeInt = Field(0, description="data loading processes per rank")
    subsample: PositiveInt | None = Field(None, description="number of training samples to use (all)")
    val_batch_size: PositiveInt | None = Field(None, description="sequences per rank in validation (batch_size)")
    val_samples: PositiveInt = Field(32, description="number of validation samples to use, always the first ones")
    validate_every: NonNegativeInt = Field(
        0,
        description="optimizer steps between two validations during the training, which no measured time includes; a "
        "multiple of the block (0: at the end only)",
    )

    def is_sharded(self, layout: Layout) -> bool:
        """Return True if FSDP2 manages the model: it is sharded, or types differ, for which DDP has no policy."""
        differs = self.precision == "bf16-mixed" or (layout.group > 1 and self.reduction != self.held)
        return layout.shard > 1 or differs

    def is_checkpointed(self, layer: int) -> bool:
        """Return True if a decoder layer (0 is the first) recomputes its activations in the backward pass."""
        every = {"none": 0, "full": 1, "selective": self.checkpointed_layers}[self.activation_checkpointing]
        return every > 0 and layer % every == 0

    @property
    def held(self) -> DType:
        """Type of stored parameters, and so of the optimizer state."""
        return "bf16" if self.precision == "bf16" else "fp32"

    @property
    def computation(self) -> DType:
        """Type in which matrix products are computed."""
        return "fp32" if self.precision == "fp32" else "bf16"

    @property
    def reduction(self) -> DType:
        """Type in which gradients are summed."""
        return self.reduce_dtype or self.held


SETTINGS = frozenset({*Training.model_fields, "engine", "launcher"})
"""Axes other than the model, the strategy, the nodes, the batch size and the streams."""
