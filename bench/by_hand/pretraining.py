"""The pipeline of xFFL's example, for `xffl exec bench/training.py bench/config.py`: a configuration without a run.

Rank 0 prints what it measured. Sweeps do not use this module.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from typing import Any

import torch
import wandb

from bench.by_hand.errors import ConfigurationError
from bench.engines.xffl.stand_ins import prepare_import
from bench.host.memory import MemoryMeter
from bench.probe.trial import averaging_fault

prepare_import()

from xffl.custom.config import XFFLConfig  # noqa: E402
from xffl.distributed import distributed  # noqa: E402
from xffl.learning import modelling, processing, utils  # noqa: E402
from xffl.learning.data import create_dataloaders  # noqa: E402
from xffl.utils.logging import setup_logging  # noqa: E402

logger = logging.getLogger(__name__)

_BY_NODES = "XFFL_FEDERATED_LOCAL_WORLD_SIZE"
"""Environment variable in which `xffl exec -fs` passes its value: nodes of each federated group."""


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


class _Phases:
    """Debug messages of rank 0 about the duration of each phase before the training."""

    def __init__(self) -> None:
        self._begin = self._last = time.perf_counter()

    def end(self, phase: str, state: Any) -> None:  # noqa: ANN401
        now = time.perf_counter()
        if state.rank == 0:
            logger.debug("%s: %.2f s (set-up so far: %.2f s)", phase, now - self._last, now - self._begin)
        self._last = now


def pretraining(config: XFFLConfig) -> None:
    """Train by a configuration on this rank.

    Raises:
        ConfigurationError: the library would train something else, or fail; all ranks raise it before the training.
        Any exception of the training; xFFL's own example would exit with status 0.

    """
    setup_logging(log_level=config.loglevel)
    phases = _Phases()
    # 1. Deterministic set-up and process groups
    by_nodes = _by_nodes(config)
    _check(config, by_nodes)
    generator = utils.set_deterministic_execution(config=config)
    state = distributed.setup_distributed_process_group(config=config)
    phases.end("rendezvous", state)
    if fault := _fault(config, state, is_federated=config.federated is not None or bool(by_nodes)):
        distributed.cleanup_distributed_process_group(state=state)
        raise ConfigurationError(fault)
    phases.end("check", state)
    meter = MemoryMeter(state.current_device)
    # 2. Weights and data into the page cache
    if state.node_local_rank == 0:
        utils.preload(files=[config.model_info.path, config.dataset_info.path])
    # 3. Model, FSDP or HSDP, activation checkpointing
    model = modelling.create_fsdp_model(state=state, config=config)
    phases.end("model", state)
    # 4. Data, split by split: together, validation would be drawn with the training split's sampler
    splits = config.dataset_info.splits(config=config, state=state)
    loaders = {
        name: create_dataloaders(state=state, dataset={name: split}, config=config, generator=generator)[name]
        for name, split in splits.items()
    }
    phases.end("data", state)
    if state.rank == 0:
        size = utils.get_model_size(model=model, state=state) / 1e6
        logger.debug("%s: %.2f million trainable parameters", config.model_info.name, size)
        logger.debug("memory before training: %s", _gib(meter))
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
        _report(results, steps.ends, tokens, wandb_run)
        print(f"Peak memory of rank 0: {_gib(meter)}")
    # 6. Clean-up
    if wandb_run is not None:
        wandb.finish()
    del model, loaders
    distributed.cleanup_distributed_process_group(state=state)


def _by_nodes(config: XFFLConfig) -> list[int]:
    """Return the nodes of each federated group that `-fs` asks for; the library prefers the configuration's groups.

    Raises:
        ConfigurationError: the groups are not those of all nodes.

    """
    asked, nodes = os.environ.get(_BY_NODES, "").strip("()"), int(os.environ.get("GROUP_WORLD_SIZE", "1"))
    if config.federated is not None or not asked:
        return []
    try:
        sizes = [int(size) for size in asked.split(",") if size.strip()]
    except ValueError:
        sizes = []
    if sum(sizes) != nodes or len(sizes) < 2 or min(sizes) < 1:
        raise ConfigurationError(
            f"-fs {asked}: should be the number of nodes of each federated group, of two groups or more (2,2), and "
            f"add up to the run's {nodes}; federated_scaling in the configuration is a number of ranks"
        )
    return sizes


def _check(config: XFFLConfig, by_nodes: list[int]) -> None:
    """Raise ConfigurationError if the library is known to fail, before any rank waits for another."""
    if (config.federated is not None or by_nodes) and not config.federated_batches:
        groups = "-fs" if by_nodes else "federated_scaling"
        raise ConfigurationError(
            f"{_name(config)}.federated_batches: should be the number of batches between two averagings of the groups "
            f"made by {groups}, not {config.federated_batches!r}"
        )
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    # Gathering the parameters fails on one rank (setStorage) while the others wait for it, so it cannot be tried here.
    if config.output_model is not None and ranks > 1 and not torch.cuda.is_available():
        raise ConfigurationError(
            f"{_name(config)}.output_model: xFFL cannot save on {ranks} CPU ranks, and would fail after the training: "
            "set output_folder and output_model (XFFL_BENCH_OUTPUT) to None, or train on one rank or on GPUs"
        )


def _fault(config: XFFLConfig, state: Any, *, is_federated: bool) -> str:  # noqa: ANN401
    """Return why the library would not train what the configuration says, "" if it would."""
    name, world, device = _name(config), state.world_size, state.current_device.type
    if is_federated and not state.is_federated_scaling_setup():
        return (
            f"{name}.federated_scaling: groups of {config.federated!r} ranks are not a division of the {world} ranks "
            "of the run: choose a proper divisor"
        )
    if config.hsdp is not None and world > 1 and not state.is_hsdp_setup():
        return (
            f"{name}.hsdp: shard groups of {config.hsdp} ranks are not a division of the {world} ranks of the run or "
            "its federated groups: choose a proper divisor, or None for FSDP"
        )
    if is_federated and (found := averaging_fault(state)):
        return (
            f"{name}: the installed xFFL does not average federated groups on this system ({device}): {found}: set "
            "federated_scaling to None, or train on GPUs"
        )
    return ""


def _name(config: XFFLConfig) -> str:
    return type(config).__name__


def _length(loader: torch.utils.data.DataLoader[Any]) -> int:
    """Return the number of tokens trained per sample."""
    return int(loader.collate_fn([loader.dataset[0]])[0].shape[1])


def _report(
    results: Mapping[str, float],
    ends: list[float],
    tokens_per_step: int,
    wandb_run: Any | None,  # noqa: ANN401
) -> None:
    """Print the library's averages and tokens/s, and write them into the summary of the W&B run."""
    figures = {name.rstrip().rstrip(":"): value for name, value in results.items()}
    if len(ends) > 1:
        rate = tokens_per_step * (len(ends) - 1) / (ends[-1] - ends[0])
        figures[f"Tokens/s over the first epoch's {len(ends) - 1} steps after the first, on rank 0"] = rate
    for name, value in figures.items():
        print(f"{name}: {value:.4g}")
        if wandb_run is not None:
            wandb_run.summary[name] = value


def _gib(meter: MemoryMeter) -> str:
    return f"{(meter.read()['peak'] or 0) / 2**30:.3g} GiB"
