"""Configurations for `xffl exec bench/training.py bench/config.py -c CLASS`: edit them, or name a file of your own.

CLASS is xffl_config (Llama 8B, the default), mixtral_config or tiny_config. The environment variables
XFFL_BENCH_MODELS, XFFL_BENCH_DATASETS and XFFL_BENCH_OUTPUT are folders; `xffl exec` forwards no environment, so set
them in the facility script given by `-f`. Sweeps do not read this file: they are configured by a matrix file.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.distributed.fsdp import MixedPrecision
from torch.optim import AdamW
from transformers import LlamaForCausalLM, MixtralForCausalLM
from transformers.models.llama.modeling_llama import LlamaDecoderLayer
from transformers.models.mixtral.modeling_mixtral import MixtralDecoderLayer

from bench.contract.shapes import STOCK
from bench.engines.xffl.causal import loss_of, pairs
from bench.engines.xffl.pretrained import from_folder, from_shape
from bench.engines.xffl.stand_ins import prepare_import

prepare_import()

from xffl.custom.config import DatasetInfo, ModelInfo, OptimizerInfo, XFFLConfig  # noqa: E402
from xffl.learning.data import load_datasets_from_disk  # noqa: E402
from xffl.learning.optim import warmup_cosine_decay  # noqa: E402

HERE = Path(__file__).resolve().parent.parent
MODELS = Path(os.environ.get("XFFL_BENCH_MODELS", HERE / "models"))
DATASETS = Path(os.environ.get("XFFL_BENCH_DATASETS", HERE / "data"))
OUTPUT = os.environ.get("XFFL_BENCH_OUTPUT")


def _pure_bf16() -> MixedPrecision:
    # Rotary frequencies are buffers: in bf16 they could not distinguish distant positions.
    return MixedPrecision(param_dtype=torch.bfloat16, reduce_dtype=torch.bfloat16)


@dataclass
class llama(ModelInfo):
    """Llama 3.1 8B."""

    name: str = "llama3.1-8b"
    model_type: type[nn.Module] = LlamaForCausalLM
    decoder_layers: tuple[type[nn.Module], ...] = (LlamaDecoderLayer,)
    decoder_layer: Any = None  # used by activation checkpointing and FSDP; `decoder_layers` by default
    wrapping_policy: Callable[..., bool] | None = None  # None: each decoder layer
    attention: str = "sdpa"
    activation_checkpointing: bool = True
    mixed_precision: MixedPrecision = field(default_factory=_pure_bf16)
    path: Path | None = MODELS / "llama3.1-8b"  # config.json and, unless new_weights, weights
    online: bool = False
    new_weights: bool = True  # pre-training: the folder's configuration with weights from the seed
    model: Callable[..., nn.Module] = from_folder

    def __post_init__(self) -> None:
        """Set the decoder layer, which the library validates."""
        self.decoder_layer = self.decoder_layer or self.decoder_layers
        super().__post_init__()


@dataclass
class mixtral(llama):
    """Mixtral 8x7B."""

    name: str = "mixtral-8x7b-v0.1"
    model_type: type[nn.Module] = MixtralForCausalLM
    decoder_layers: tuple[type[nn.Module], ...] = (MixtralDecoderLayer,)
    path: Path | None = MODELS / "mixtral-8x7b-v0.1"


def _tiny(*, config: XFFLConfig, state: Any) -> nn.Module:  # noqa: ANN401
    return from_shape(STOCK["llama-tiny"], config, state)


@dataclass
class tiny(llama):
    """A tiny Llama for a CPU; needs no folder."""

    name: str = "llama-tiny"
    activation_checkpointing: bool = False
    path: Path | None = None
    model: Callable[..., nn.Module] = _tiny


def _splits(*, config: XFFLConfig, state: object) -> Mapping[str, Any]:
    info = config.dataset_info
    splits: Mapping[str, Any] = load_datasets_from_disk(splits=info.split_folders, base_path=info.path)
    return splits


@dataclass
class cleanmc4it(DatasetInfo):
    """The Italian part of mC4, cleaned: tokenised, packed and saved by `save_to_disk` (docs/guides/data.md)."""

    name: str = "clean_mc4_it"
    split_folders: Mapping[str, str] = field(default_factory=lambda: {"train": "train", "val": "val"})
    path: Path = DATASETS / "clean_mc4_it"
    splits: Callable[..., Mapping[str, Any]] = _splits
    subsampling: int | Mapping[str, int] | None = None  # samples of every split, for debugging
    batch_sizes: Mapping[str, int] = field(default_factory=lambda: {"train": 2, "val": 2})
    workers: int = 2
    shuffle_train_split: bool = True
    collate_fn: Callable[..., Any] = pairs


@dataclass
class synthetic(cleanmc4it):
    """The data set made by `xffl-bench data synthetic data/synthetic-tiny`."""

    name: str = "synthetic-tiny"
    path: Path = DATASETS / "synthetic-tiny"
    subsampling: int | Mapping[str, int] | None = field(default_factory=lambda: {"train": 256, "val": 32})
    workers: int = 0


@dataclass
class adamw(OptimizerInfo):
    """AdamW with a warm-up and a cosine decay."""

    optimizer: Callable[..., torch.optim.Optimizer] = AdamW
    learning_rate: float = 3e-4
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.1
    warmup_fraction: float = 0.01
    final_lr_ratio: float = 0.01
    interleaved_optim: bool = False  # the library's example sets it and fails with FSDP

    def __post_init__(self) -> None:
        """Set the library's fields; it looks for `lr_scheduler_params` elsewhere, so they are bound to the schedule."""
        self.optimizer_params = {"lr": self.learning_rate, "betas": self.betas, "weight_decay": self.weight_decay}
        parameters = {"warmup_fraction": self.warmup_fraction, "final_lr_ratio": self.final_lr_ratio}
        self.lr_scheduler = partial(warmup_cosine_decay, lr_scheduler_params=parameters)
        super().__post_init__()


@dataclass
class xffl_config(XFFLConfig):
    """Llama 3.1 8B on the Italian part of mC4; the default of `-c`."""

    model_info: ModelInfo = field(default_factory=llama)
    dataset_info: DatasetInfo = field(default_factory=cleanmc4it)
    optimizer_info: OptimizerInfo = field(default_factory=adamw)

    loglevel: int = logging.INFO  # DEBUG: the duration of every phase and part of a step, which waits for the device
    seed: int | None = 42  # forces deterministic algorithms; None (faster) only with shuffle_train_split False,
    # because without a seed every rank would shuffle differently

    hsdp: int | None = None  # ranks of a shard group
    federated_scaling: int | None = None  # ranks of a federated group (the library calls it `federated`)
    federated_batches: int | None = None  # batches between two averagings
    cuda_streams: int | None = None

    epochs: int = 1
    scale_learning_rate: bool = False  # by the number of ranks that update one model
    criterion: Callable[..., Any] = loss_of

    output_folder: Path | None = Path(OUTPUT) if OUTPUT else None
    output_model: str | None = "model" if OUTPUT else None

    wandb_params: Mapping[str, Any] = field(
        default_factory=lambda: {
            "entity": None,
            "project": "xffl-bench",
            "group": "pretraining",
            "notes": "",
            "tags": [],
            "mode": "disabled",
        }
    )

    def __post_init__(self) -> None:
        """Set the library's fields and scale the learning rate, which the library does not do itself."""
        self.federated = self.federated_scaling
        if self.wandb_params is not None:
            self.wandb_params = {"name": self.model_info.name, **self.wandb_params}
        if self.scale_learning_rate:
            ranks = self.federated_scaling or int(os.environ.get("WORLD_SIZE", "1"))
            self.optimizer_info.optimizer_params["lr"] *= ranks
        super().__post_init__()


@dataclass
class mixtral_config(xffl_config):
    """Mixtral 8x7B on the Italian part of mC4."""

    model_info: ModelInfo = field(default_factory=mixtral)


@dataclass
class tiny_config(xffl_config):
    """A tiny Llama on synthetic data: for a CPU, or to try a machine."""

    model_info: ModelInfo = field(default_factory=tiny)
    dataset_info: DatasetInfo = field(default_factory=synthetic)
