"""Trial of the xFFL library's averaging in the groups of a configuration, before it is trained.

A sweep knows the findings of `bench.probe.probe` before it starts a rank. A training by hand has its process group, its
devices and possibly unequal groups already, so it tries these.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

import torch
import torch.distributed as dist

from bench.probe.findings import Seen, unequal_groups
from bench.probe.toy import toy

from xffl.learning import modelling, processing
from xffl.learning.data import create_dataloaders


def averaging_fault(state: Any) -> str:  # noqa: ANN401
    """Return why federated groups would not train one model, "" if they would: trains one step and averages.

    Raises:
        Any exception of the library.

    """
    group = state.federated_rank
    with _unnoticed(state.current_device):
        samples = state.federated_local_size[group]  # one step for every rank
        config = toy(1.0 + group, samples, criterion=_criterion, federated=samples, federated_batches=1)
        model = modelling.create_fsdp_model(state=state, config=config)
        loader = create_dataloaders(state=state, config=config)["train"]
        processing.distributed_training(model=model, state=state, train_dataloader=loader, config=config)
    values = torch.cat([parameter.detach().float().flatten() for parameter in model.parameters()])
    seen: list[Seen | None] = [None] * state.world_size
    dist.all_gather_object(seen, Seen(group, float(values.min()), float(values.max())))
    fact, evidence = unequal_groups([each for each in seen if each is not None])
    return "" if fact == "mean" else evidence


def _criterion(state: object) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    return lambda output, _: output.mean()


@contextmanager
def _unnoticed(device: torch.device) -> Iterator[None]:
    """Keep generators, logs and output as they would be without the trial."""
    disabled = logging.root.manager.disable
    devices = [device] if device.type == "cuda" else []
    logging.disable(logging.CRITICAL)
    try:
        with torch.random.fork_rng(devices=devices), redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(disabled)
