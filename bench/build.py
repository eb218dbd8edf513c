"""Models by shape: built on the meta device, sharded, and only then given memory and weights."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial

import torch
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Shard, distribute_tensor
from torch.nn.parallel import DistributedDataParallel
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    PretrainedConfig,
    PreTrainedModel,
)

from bench.contract import Run
from bench.mesh import Groups
from bench.shapes import Shape

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def configuration(shape: Shape) -> PretrainedConfig:
    """The Hugging Face configuration of a shape. The router's auxiliary loss stays off, the library's default."""
    common = {
        "vocab_size": shape.vocab_size,
        "hidden_size": shape.hidden_size,
        "intermediate_size": shape.intermediate_size,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "max_position_embeddings": shape.max_positions,
        "rms_norm_eps": shape.rms_norm_eps,
        "initializer_range": shape.initializer_range,
        "tie_word_embeddings": shape.tie_embeddings,
        "rope_parameters": {"rope_type": "default", "rope_theta": shape.rope_theta},
        "use_cache": False,
        "bos_token_id": None,
        "eos_token_id": None,
    }
    if shape.architecture == "llama":
        return LlamaConfig(**common)
    return MixtralConfig(
        **common, num_local_experts=shape.experts, num_experts_per_tok=shape.experts_per_token, sliding_window=None
    )


def on_meta(shape: Shape, dtype: torch.dtype, attention: str) -> PreTrainedModel:
    """The model without memory; `LlamaForCausalLM` or `MixtralForCausalLM`."""
    config = configuration(shape)
    config._attn_implementation = attention
    kind = LlamaForCausalLM if shape.architecture == "llama" else MixtralForCausalLM
    default = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device("meta"):
            return kind(config)
    finally:
        torch.set_default_dtype(default)


def initial_value(name: str, shape: torch.Size, std: float, seed: int, device: torch.device) -> torch.Tensor:
    """The whole fp32 tensor that a parameter starts from: a function of (seed, name), whatever the strategy.

    Matrices are normal with deviation `std`; vectors, which are the scales of norms in these models, are ones.
    """
    if len(shape) == 1:
        return torch.ones(shape, device=device)
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    generator = torch.Generator(device).manual_seed(int.from_bytes(digest[:7], "big"))
    return torch.empty(shape, device=device).normal_(0.0, std, generator=generator)


@torch.no_grad()
def _materialise(model: PreTrainedModel, seed: int, device: torch.device, alive: Callable[[], None]) -> None:
    """Give a (possibly sharded) meta model memory and weights, one whole tensor at a time."""
    model.to_empty(device=device)
    if model.config.tie_word_embeddings and not isinstance(model.lm_head.weight, DTensor):
        model.tie_weights()  # `to_empty` gave both names a tensor of their own; FSDP2 keeps what it shards tied
    for name, parameter in model.named_parameters():
        alive()
        value = initial_value(name, parameter.shape, model.config.initializer_range, seed, device).to(parameter.dtype)
        if isinstance(parameter, DTensor):
            # Without a source rank nothing is sent: every rank drew the same tensor and keeps its slice.
            sharded = distribute_tensor(value, parameter.device_mesh, parameter.placements, src_data_rank=None)
            parameter.to_local().copy_(sharded.to_local())
        else:
            parameter.copy_(value)
    # Rotary frequencies are buffers that no checkpoint holds: `to_empty` left them undefined.
    rotary = model.model.rotary_emb
    with torch.device(device):
        fresh = type(rotary)(model.config)
    for name, buffer in fresh.named_buffers():
        rotary.get_buffer(name).copy_(buffer)


def even_shard(parameter: nn.Parameter, degree: int) -> Shard | None:
    """The first dimension that divides by the shard degree; None leaves FSDP2 its own choice, the first with padding.

    Stacked experts (experts, ...) would otherwise lie on as many ranks as there are experts, and no further.
    """
    return next((Shard(place) for place, size in enumerate(parameter.shape) if size % degree == 0), None)


def build(run: Run, groups: Groups, device: torch.device, alive: Callable[[], None]) -> nn.Module:
    """The model of a run, sharded or replicated as its layout says, with its initial weights.

    `alive` is called between parameters, for whoever watches for a hang.

    Raises:
        RuntimeError: the library's model has another number of parameters than the shape predicts.

    """
    model = on_meta(run.shape, DTYPES[run.training.precision], run.training.attention)
    if groups.shard_mesh is not None:
        for module in (*model.model.layers, model):
            fully_shard(module, mesh=groups.shard_mesh, shard_placement_fn=partial(even_shard, degree=run.layout.shard))
    _materialise(model, run.seed, device, alive)
    counted = sum(parameter.numel() for parameter in model.parameters())
    if counted != run.shape.parameters:
        raise RuntimeError(f"{type(model).__name__} has {counted} parameters, the shape says {run.shape.parameters}")
    model.train()
    if groups.replicas is not None:
        devices = [device.index] if device.type == "cuda" else None
        # Its buffers are rotary frequencies, the same everywhere: DDP would send them round in every step.
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(
            model, [name for name, _ in model.named_buffers()]
        )
        return DistributedDataParallel(model, device_ids=devices, process_group=groups.replicas)
    built: nn.Module = model
    return built


def local_parameters(model: nn.Module) -> list[torch.Tensor]:
    """The rank's own parts of the parameters, in the model's order."""
    return [_local(parameter.detach()) for parameter in model.parameters()]


def _local(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def state_bytes(model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Bytes of parameters, gradients and optimizer state that this rank holds between two steps.

    Gradients count at the parameters' size, whether or not they are freed at the moment of counting.
    """
    parameters = sum(tensor.numel() * tensor.element_size() for tensor in local_parameters(model))
    state = sum(
        _local(value).numel() * value.element_size()
        for slots in optimizer.state.values()
        for value in slots.values()
        if isinstance(value, torch.Tensor) and value.dim() > 0
    )
    return 2 * parameters + state
