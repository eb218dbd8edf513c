"""A training of the xFFL library with nothing to learn: its parameter values show how they were averaged."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset

from bench.engines.xffl.stand_ins import prepare_import

prepare_import()

from xffl.custom.config import DatasetInfo, ModelInfo, OptimizerInfo, XFFLConfig  # noqa: E402


class _Layer(nn.Linear):
    """The layer class that FSDP wraps."""


class _Indices(Dataset[int]):
    """Samples that are their own index."""

    def __init__(self, length: int) -> None:
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> int:
        return index


def _model(value: float, *, config: XFFLConfig, state: Any) -> nn.Module:  # noqa: ANN401
    """Return a model of four layers, one for each of four communicators, with all parameters equal to `value`."""
    with torch.device(state.init_device):
        model = nn.Sequential(*(_Layer(4, 4) for _ in range(4)))
    for parameter in model.parameters():
        nn.init.constant_(parameter, value)
    return model


def _splits(samples: int, *, config: XFFLConfig, state: Any) -> dict[str, Dataset[int]]:  # noqa: ANN401
    return {"train": _Indices(samples)}


def _pairs(rows: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    indices = torch.tensor(rows)
    return indices.float().unsqueeze(1).expand(-1, 4).contiguous(), indices


def toy(
    value: float,
    samples: int,
    *,
    criterion: Callable[[object], Callable[..., torch.Tensor]],
    **settings: Any,  # noqa: ANN401
) -> XFFLConfig:
    """Return the configuration of one epoch with learning rate 0, so that only averaging changes the parameters.

    Args:
        value: value of all parameters before the training.
        samples: size of the data set; sample i is the number i.
        criterion: factory of the loss function.
        settings: other fields of the configuration.

    """
    return XFFLConfig(
        model_info=ModelInfo(name="probe", model=partial(_model, value), decoder_layer=_Layer),
        dataset_info=DatasetInfo(
            name="probe",
            splits=partial(_splits, samples),
            batch_sizes=1,
            collate_fn=_pairs,
            shuffle_train_split=False,
        ),
        optimizer_info=OptimizerInfo(optimizer=torch.optim.SGD, optimizer_params={"lr": 0.0}, interleaved_optim=False),
        epochs=1,
        criterion=criterion,
        **settings,
    )
