"""The pipeline of xFFL's example, for `xffl exec bench/training.py bench/config.py`: a configuration without a run.

Rank 0 prints what it measured. Sweeps do not use this module.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

import torch
import wandb

from bench.engines.xffl.stand_ins import prepare_import
from bench.host.memory import MemoryMeter

prepare_import()

from xffl.custom.config import XFFLConfig  # noqa: E402
from xffl.distributed import distributed  # noqa: E402
from xffl.learning import modelling, processing, utils  # noqa: E402
from xffl.learning.data import create_dataloaders  # noqa: E402
from xffl.utils.logging import setup_logging  # noqa: E402

logger = logging.getLogger(__name__)


class _Steps:
    """Logger for the training loop: records the time of every batch and forwards the metrics to W&B."""

    def __init__(self, wandb_run: Any | None) -> None:  # noqa: ANN401
        self._wandb = wandb_run
        self._over = False
        self.ends: list[float] = []

    def log(self, metrics: Mapping[str, Any], **options: Any) -> None:  # noqa: ANN401
        self._over = self._over or "train/Epoch" in metrics  # later epochs have validation between them
        if "train/Step" in metrics and not self._over:
            self.ends.append(time.perf_counter())
        if self._wandb is not None:
            self._wandb.log(metrics, **options)


def pretraining(config: XFFLConfig) -> None:
    """Train by a configuration on this rank.

    Raises:
        Any exception of the training; xFFL's own example would exit with status 0.

    """
    setup_logging(log_level=config.loglevel)
    # 1. Deterministic set-up and process groups
    generator = utils.set_deterministic_execution(config=config)
    state = distributed.setup_distributed_process_group(config=config)
    meter = MemoryMeter(state.current_device)
    # 2. Weights and data into the page cache
    if state.node_local_rank == 0:
        utils.preload(files=[config.model_info.path, config.dataset_info.path])
    # 3. Model, FSDP or HSDP, activation checkpointing
    model = modelling.create_fsdp_model(state=state, config=config)
    # 4. Data, split by split: together, validation would be drawn with the training split's sampler
    splits = config.dataset_info.splits(config=config, state=state)
    loaders = {
        name: create_dataloaders(state=state, dataset={name: split}, config=config, generator=generator)[name]
        for name, split in splits.items()
    }
    # 5. Training with optimizer, schedule, averaging of federated groups, validation, saving
    wandb_run = utils.wandb_setup(config=config)
    steps = _Steps(wandb_run)
    results = processing.distributed_training(
        model=model,
        state=state,
        train_dataloader=loaders["train"],
        val_dataloader=loaders.get("val"),
        config=config,
        wandb_run=steps,
    )
    if state.rank == 0:
        tokens = loaders["train"].batch_size * _length(loaders["train"]) * state.world_size
        _say(results, steps.ends, tokens, meter)
    # 6. Clean-up
    if wandb_run is not None:
        wandb.finish()
    del model, loaders
    distributed.cleanup_distributed_process_group(state=state)


def _length(loader: torch.utils.data.DataLoader[Any]) -> int:
    """Return the number of tokens trained per sample."""
    return int(loader.collate_fn([loader.dataset[0]])[0].shape[1])


def _say(results: Mapping[str, float], ends: list[float], tokens_per_step: int, meter: MemoryMeter) -> None:
    for name, value in results.items():
        print(f"{name.rstrip().rstrip(':')}: {value:.4g}")
    if len(ends) > 1:
        rate = tokens_per_step * (len(ends) - 1) / (ends[-1] - ends[0])
        print(f"Tokens/s over the first epoch's {len(ends) - 1} steps after the first, on rank 0: {rate:.4g}")
    print(f"Peak memory of rank 0: {(meter.read()['peak'] or 0) / 2**30:.3g} GiB")
