"""A run as a configuration of the xFFL library.

Everything that xFFL takes from its configuration comes from the harness, so that both engines train identically: the
model and its initial values, the order of samples, the loss, the optimizer's settings. A value that is not the obvious
one has its reason beside it; docs/guides/xffl.md has the evidence.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import torch
from torch import nn
from torch.distributed.fsdp import MixedPrecision
from torch.utils.data import Dataset
from transformers.models.llama.modeling_llama import LlamaDecoderLayer
from transformers.models.mixtral.modeling_mixtral import MixtralDecoderLayer

from bench.contract.run import Run
from bench.data.dataset import Collate, SampleNumbers, rank_order, training_split
from bench.engines.xffl.recorder import Recorder
from bench.engines.xffl.stand_ins import prepare_import
from bench.host.dtypes import DTYPES
from bench.models.build import first_values
from bench.models.initialise import materialise
from bench.models.model import on_meta

prepare_import()

from xffl.custom.config import DatasetInfo, ModelInfo, OptimizerInfo, XFFLConfig  # noqa: E402
from xffl.learning.optim import warmup_cosine_decay  # noqa: E402

_LAYERS = {"llama": LlamaDecoderLayer, "mixtral": MixtralDecoderLayer}
_ATTENTION = {
    "sdpa": "sdpa",
    "flash": "flash_attention_2",
    "eager": None,
}  # xFFL only validates it: the model has its own


def configuration(run: Run, recorder: Recorder | None = None) -> XFFLConfig:
    """Return the configuration of a run; `recorder` records the training."""
    training, layout = run.training, run.layout
    seen = recorder or Recorder(run)
    federated = layout.federation > 1
    return XFFLConfig(
        model_info=ModelInfo(
            name=run.model,
            model=partial(_model, run, seen),
            path=run.weights,
            attention=_ATTENTION[training.attention],
            decoder_layer=_LAYERS[run.shape.architecture],
            wrapping_policy=None,  # xFFL derives it from the decoder layer; the factory in its example is an error
            activation_checkpointing=training.activation_checkpointing == "full",
            mixed_precision=_types(run),
        ),
        dataset_info=DatasetInfo(
            name=Path(run.data).name,
            splits=partial(_splits, run),
            path=run.data,
            batch_sizes=run.batch_size,
            workers=training.workers,
            collate_fn=_Pairs(Collate(training.sequence_length, run.shape.vocab_size)),
            shuffle_train_split=False,  # the data set has the run's order
        ),
        optimizer_info=OptimizerInfo(
            optimizer=seen.make_optimizer,
            lr_scheduler=partial(_schedule, run),
            gradient_clipping=training.clip_norm or None,
            gradient_accumulation=training.accumulation,
            interleaved_optim=False,  # with it, FSDP's backward pass fails (AssertionError: _saved_grad_shard)
        ),
        loglevel=logging.getLevelNamesMapping()[training.log_level.upper()],
        seed=run.seed if training.deterministic else None,  # a seed forces deterministic algorithms
        hsdp=layout.shard if layout.replicate > 1 else None,
        federated=layout.group if federated else None,
        federated_batches=run.every * training.accumulation if federated else None,
        cuda_streams=run.cuda_streams if federated else None,
        epochs=1,  # the data loader holds as many batches as the run has
        criterion=seen.criterion,  # without one, the training loop fails (UnboundLocalError: _criterion)
    )


def _model(run: Run, seen: Recorder, *, config: XFFLConfig, state: Any) -> nn.Module:  # noqa: ANN401
    """Return the run's model on xFFL's initial device; on meta, other ranks provide the values."""
    model = on_meta(run.shape, run.training)
    if state.init_device.type != "meta":
        # Draw values on the native engine's device: another device's generator gives other numbers.
        materialise(model, first_values(run, model, state.current_device), state.init_device, seen.alive)
    model.train()
    whole: nn.Module = model
    return whole


def _types(run: Run) -> MixedPrecision | None:
    """Return the mixed precision; None if all types are that of the stored parameters."""
    training = run.training
    if training.computation == training.held == training.reduction:
        return None
    return MixedPrecision(param_dtype=DTYPES[training.computation], reduce_dtype=DTYPES[training.reduction])


class _InOrder(Dataset[Mapping[str, Any]]):
    """The samples of one rank in the run's order, for the library's sampler, which gives index i to rank i mod `ranks`.

    Each rank has a data set of its own in which any index that it is given leads to its next sample.
    """

    def __init__(self, split: datasets.Dataset, numbers: SampleNumbers, ranks: int) -> None:
        self._split = split
        self._numbers = numbers
        self._ranks = ranks

    def __len__(self) -> int:
        return len(self._numbers) * self._ranks

    def __getitem__(self, index: int) -> Mapping[str, Any]:
        sample: Mapping[str, Any] = self._split[self._numbers[index // self._ranks]]
        return sample


def _splits(run: Run, *, config: XFFLConfig, state: Any) -> dict[str, Dataset[Mapping[str, Any]]]:  # noqa: ANN401
    """Return the training split only: the library would draw validation samples with the training split's sampler."""
    split = training_split(run)
    ranks = run.layout.group if run.layout.federation > 1 else run.world
    return {"train": _InOrder(split, SampleNumbers(rank_order(run, state.rank, len(split))), ranks)}


class _Pairs:
    """Collate to (tokens, labels): for mappings the library's training loop returns one value too few."""

    def __init__(self, collate: Collate) -> None:
        self._collate = collate

    def __call__(self, rows: Sequence[dict[str, list[int]]]) -> tuple[torch.Tensor, torch.Tensor]:
        batch = self._collate(rows)
        return batch.tokens, batch.labels


def _schedule(run: Run, *, optimizer: torch.optim.Optimizer, **_: object) -> Any:  # noqa: ANN401
    """Return the library's schedule over the run's steps.

    The parameters are passed here, since the library looks for `lr_scheduler_params` in the wrong part of the
    configuration and finds none.
    """
    training = run.training
    return warmup_cosine_decay(
        optimizer,
        total_steps_per_epoch=(training.schedule_steps or training.steps) * training.accumulation,
        epochs=1,
        gradient_accumulation=training.accumulation,
        lr_scheduler_params={
            "warmup_fraction": training.lr_warmup_fraction,
            "final_lr_ratio": training.lr_decay_ratio,
        },
    )
