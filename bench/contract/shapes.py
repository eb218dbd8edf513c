"""Shapes of Llama and Mixtral models: parameters, FLOPs and bytes, computed without torch.

Published shapes: the `config.json` of meta-llama/Llama-3.1-8B, Llama-3.1-70B and mistralai/Mixtral-8x7B-v0.1.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

Architecture = Literal["llama", "mixtral"]


class RopeScaling(BaseModel):
    """Scaling of the rotary frequencies to more positions than in pre-training; keys as in `config.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rope_type: Literal["linear", "llama3"] = Field(description="linear divides all frequencies, llama3 the low ones")
    factor: PositiveFloat = Field(description="divisor of the frequencies")
    low_freq_factor: PositiveFloat | None = Field(
        None, description="llama3: wavelengths above the original positions divided by this are scaled"
    )
    high_freq_factor: PositiveFloat | None = Field(
        None, description="llama3: wavelengths below the original positions divided by this are kept"
    )
    original_max_position_embeddings: PositiveInt | None = Field(
        None, description="llama3: positions of the pre-training"
    )

    @model_validator(mode="after")
    def _of_one_type(self) -> Self:
        own = {"low_freq_factor", "high_freq_factor", "original_max_position_embeddings"}
        given = {key for key in own if getattr(self, key) is not None}
        wanted = own if self.rope_type == "llama3" else set()
        for key in sorted(given ^ wanted):
            raise ValueError(f"rope_type {self.rope_type} {'needs' if key in wanted else 'does not use'} {key}")
        if self.low_freq_factor and self.high_freq_factor and self.low_freq_factor >= self.high_freq_factor:
            raise ValueError("low_freq_factor should be less than high_freq_factor")
        return self


class Shape(BaseModel):
    """Dimensions of a model, named after Hugging Face's configurations; `experts` = 0: a dense model (Llama)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    architecture: Architecture
    vocab_size: PositiveInt = Field(description="size of the vocabulary")
    hidden_size: PositiveInt = Field(description="width of the residual stream")
    intermediate_size: PositiveInt = Field(description="width of the feed-forward layer, or of each expert's")
    layers: PositiveInt = Field(description="decoder layers")
    heads: PositiveInt = Field(description="attention heads")
    kv_heads: PositiveInt = Field(description="key and value heads (grouped-query attention)")
    head_dim: PositiveInt | None = Field(None, description="width of an attention head (hidden_size / heads)")
    max_positions: PositiveInt = Field(4096, description="longest sequence")
    rope_theta: PositiveFloat = Field(10_000.0, description="base of the rotary frequencies")
    rope_scaling: RopeScaling | None = Field(
        None,
        description="scaling of the rotary frequencies: `rope_type` linear or llama3, `factor`, the type's keys",
    )
    rms_norm_eps: PositiveFloat = Field(1e-5, description="epsilon of RMSNorm")
    initializer_range: PositiveFloat = Field(0.02, description="standard deviation of the initial weights")
    tie_embeddings: bool = Field(False, description="use the input embedding as the output head")
    attention_bias: bool = Field(False, description="biases in the attention's projections (Llama only)")
    mlp_bias: bool = Field(False, description="biases in the feed-forward projections (Llama only)")
    sliding_window: PositiveInt | None = Field(
        None, description="positions that a token attends to, including itself (Mixtral only; all previous ones)"
    )
    experts: NonNegativeInt = Field(0, description="experts per layer; 0 for a dense model")
    experts_per_token: NonNegativeInt = Field(0, description="experts that a token is routed to")
    padding_token: NonNegativeInt | None = Field(
        None, description="token whose input embedding is initially zero and gets no gradient from the input"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.hidden_size % self.heads:
            raise ValueError(f"hidden_size {self.hidden_size} is not a multiple of heads {self.heads}")
        if self.d_head % 2:
            raise ValueError(f"the heads' width is {self.d_head}: rotary positions need an even one")
        if self.heads % self.kv_heads:
            raise ValueError(f"heads {self.heads} is not a multiple of kv_heads {self.kv_heads}")
        if (self.architecture == "mixtral") != (self.experts > 0):
            raise ValueError("a mixtral has experts > 0 and a llama has none")
        if self.experts and not 1 <= self.experts_per_token <= self.experts:
            raise ValueError(f"experts_per_token must be between 1 and experts ({self.experts})")
        if self.architecture == "mixtral" and (self.attention_bias or self.mlp_bias):
            raise ValueError("a mixtral has no biases: remove attention_bias and mlp_bias")
        if self.padding_token is not None and self.padding_token >= self.vocab_size:
            raise ValueError(f"the padding token {self.padding_token} is not in a vocabulary of {self.vocab_size}")
        if self.architecture == "llama" and self.sliding_window is not None:
            raise ValueError("a llama has no sliding_window: remove it")
        return self

    @property
    def d_head(self) -> int:
        """Width of one attention head (d_qk = d_v)."""
        return self.head_dim or self.hidden_size // self.heads

    @property
    def embedding_parameters(self) -> int:
        """Parameters of the input embedding."""
        return self.vocab_size * self.hidden_size

    def _parameters(self, experts: int) -> int:
        h, queries, kv = self.hidden_size, self.heads * self.d_head, self.kv_heads * self.d_head
        attention = 2 * h * queries + 2 * h * kv
        if self.attention_bias:
            attention += queries + 2 * kv + h
        feed_forward = 3 * h * self.intermediate_size
        if self.mlp_bias:
            feed_forward += 2 * self.intermediate_size + h
        if self.experts:
            feed_forward = experts * feed_forward + self.experts * h  # the router has a weight row per expert
        norms = 2 * h
        head = 0 if self.tie_embeddings else self.embedding_parameters
        return self.embedding_parameters + self.layers * (attention + feed_forward + norms) + h + head

    @property
    def parameters(self) -> int:
        """Number of parameters; a tied embedding counts once."""
        return self._parameters(self.experts)

    @property
    def active_parameters(self) -> int:
        """Parameters that one token uses: of the experts, only `experts_per_token`."""
        return self._parameters(self.experts_per_token)

    def flops_per_token(self, sequence_length: int, *, causal: bool = False) -> float:
        """Return the training FLOPs (forward and backward) per token; recomputation does not count.

        6 (N - N_input_embedding) + 6 L n_heads (d_qk + d_v) seq, with N the active parameters: torchtitan's
        definition, which equals appendix B of PaLM (arXiv 2204.02311). `causal` halves the attention term, since a
        causal mask leaves half of the score matrix. A sliding window of w < seq replaces seq by w, or by
        w (1 - w / 2 seq) with `causal`. A tied embedding is not subtracted: it is used as the head.
        """
        weights = self.active_parameters - (0 if self.tie_embeddings else self.embedding_parameters)
        return 6.0 * weights + 3 * self.layers * self._attention_flops(sequence_length, causal=causal)

    def recomputed_flops_per_token(self, sequence_length: int, layers: int, *, causal: bool = False) -> float:
        """Return the FLOPs per token of one more forward pass of `layers` decoder layers, as checkpointing does.

        2 N_layer + 2 n_heads (d_qk + d_v) seq for each, a third of what it has in `flops_per_token`. That is the
        convention (Korthikanti et al., arXiv 2205.05198); torch stops a layer's recomputation before its
        last matrix product, whose result the backward pass does not need.
        """
        outside = self.hidden_size + (1 if self.tie_embeddings else 2) * self.embedding_parameters
        weights = (self.active_parameters - outside) // self.layers
        return layers * (2.0 * weights + self._attention_flops(sequence_length, causal=causal))

    def _attention_flops(self, sequence_length: int, *, causal: bool) -> float:
        """Return the FLOPs per token of a layer's scores and weighted values in a forward pass."""
        keys = min(sequence_length, self.sliding_window or sequence_length)
        counted = keys * (1 - keys / (2 * sequence_length)) if causal else keys
        return 2.0 * self.heads * 2 * self.d_head * counted


_LLAMA_3_1 = RopeScaling(
    rope_type="llama3",
    factor=8.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=8192,
)

STOCK: dict[str, Shape] = {
    "llama-tiny": Shape(
        architecture="llama", vocab_size=256, hidden_size=64, intermediate_size=176, layers=2, heads=4, kv_heads=2
    ),
    "mixtral-tiny": Shape(
        architecture="mixtral",
        vocab_size=256,
        hidden_size=64,
        intermediate_size=96,
        layers=2,
        heads=4,
        kv_heads=2,
        experts=4,
        experts_per_token=2,
    ),
    "llama3.1-8b": Shape(
        architecture="llama",
        vocab_size=128_256,
        hidden_size=4096,
        intermediate_size=14_336,
        layers=32,
        heads=32,
        kv_heads=8,
        max_positions=131_072,
        rope_theta=500_000.0,
        rope_scaling=_LLAMA_3_1,
    ),
    "llama3.1-70b": Shape(
        architecture="llama",
        vocab_size=128_256,
        hidden_size=8192,
        intermediate_size=28_672,
        layers=80,
        heads=64,
        kv_heads=8,
        max_positions=131_072,
        rope_theta=500_000.0,
        rope_scaling=_LLAMA_3_1,
    ),
    "mixtral-8x7b": Shape(
        architecture="mixtral",
        vocab_size=32_000,
        hidden_size=4096,
        intermediate_size=14_336,
        layers=32,
        heads=32,
        kv_heads=8,
        max_positions=32_768,
        rope_theta=1_000_000.0,
        experts=8,
        experts_per_token=2,
    ),
}
"""Models known by name."""
