"""How a run trains: the settings that a matrix file gives, each of which can be an axis."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from bench.contract.base import Document, DType, Precision
from bench.contract.layout import Layout


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
