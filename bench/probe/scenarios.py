"""Small trainings that reveal what the xFFL library does, on one rank.

They use the library's own pipeline, from process group and data loaders to the training loop, with a model whose
parameter values show how they were averaged.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
import torch.distributed as dist

from bench.probe.findings import Seen
from bench.probe.forked import Beat
from bench.probe.toy import toy  # prepares the import of xFFL

from xffl.custom.config import XFFLConfig
from xffl.distributed import distributed
from xffl.learning import modelling, processing
from xffl.learning.data import create_dataloaders

_STEPS = 4
"""Steps between two averagings, and steps of a rank whose group has four samples per rank."""

_REDUCTIONS = ("all_reduce", "all_reduce_coalesced")
"""The collectives that xFFL's averaging uses."""


@dataclass(frozen=True)
class Scenario:
    """A federated training of one epoch with learning rate 0, so that only averaging changes the parameters.

    Attributes:
        groups: number of ranks in every federated group.
        shard: ranks of a shard group, for HSDP within groups; None for FSDP.
        streams: value of `cuda_streams`.
        samples: size of the data set; None: in each group as many as give its ranks four steps.

    """

    groups: tuple[int, ...]
    shard: int | None
    streams: int
    samples: int | None

    @property
    def world(self) -> int:
        """World size."""
        return sum(self.groups)

    def group_of(self, rank: int) -> int:
        """Return the federated group of a rank; the ranks of a group are consecutive."""
        return next(group for group in range(len(self.groups)) if rank < sum(self.groups[: group + 1]))


def _criterion(beat: Beat, state: object) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    def loss(output: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        beat()
        return output.mean()

    return loss


def _configuration(scenario: Scenario, group: int, beat: Beat) -> XFFLConfig:
    is_even = len(set(scenario.groups)) == 1
    return toy(
        1.0 + group,
        scenario.samples if scenario.samples is not None else _STEPS * scenario.groups[group],
        criterion=partial(_criterion, beat),
        hsdp=scenario.shard,
        federated=scenario.groups[0] if is_even else scenario.groups,
        federated_batches=_STEPS,
        cuda_streams=scenario.streams,
    )


def train(scenario: Scenario, rank: int, beat: Beat) -> Mapping[str, Any]:
    """Train one rank of a scenario; return a `Seen` as a mapping.

    Raises:
        Exception: any exception of xFFL.

    """
    torch.set_num_threads(1)
    torch.manual_seed(0)
    group = scenario.group_of(rank)
    config = _configuration(scenario, group, beat)
    state = distributed.setup_distributed_process_group(config=config)
    beat()
    model = modelling.create_fsdp_model(state=state, config=config)
    loader = create_dataloaders(state=state, config=config)["train"]
    samples = [int(index) for _, indices in loader for index in indices]
    beat()
    with _watched(scenario) as communicators:
        processing.distributed_training(model=model, state=state, train_dataloader=loader, config=config)
    beat()
    values = torch.cat([parameter.detach().float().flatten() for parameter in model.parameters()])
    seen = Seen(group, float(values.min()), float(values.max()), samples, list(communicators))
    dist.barrier()  # a finished group waits for the others, as at the end of a run
    distributed.cleanup_distributed_process_group(state=state)
    return asdict(seen)


@contextmanager
def _watched(scenario: Scenario) -> Iterator[list[str]]:
    """Record the process groups between federated groups that reductions use during the block."""
    communicators: list[str] = []

    def watching(reduce: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*words: Any, **named: Any) -> Any:  # noqa: ANN401
            over = named.get("group", words[2] if len(words) > 2 else None)
            ranks = dist.get_process_group_ranks(over)
            if len({scenario.group_of(rank) for rank in ranks}) > 1:
                communicators.append(over.group_name if over is not None else "world")
            return reduce(*words, **named)

        return watched

    originals = {name: getattr(dist, name) for name in _REDUCTIONS}
    for name, original in originals.items():
        setattr(dist, name, watching(original))
    try:
        yield communicators
    finally:
        for name, original in originals.items():
            setattr(dist, name, original)


def without_devices() -> dict[str, str]:
    """Return environment variables that keep a rank on the CPU, since xFFL would use a GPU if there were one."""
    return {"CUDA_VISIBLE_DEVICES": "", "HIP_VISIBLE_DEVICES": "", "GLOO_SOCKET_IFNAME": "lo"}


def devices() -> int:
    """Return the number of GPUs, without creating a CUDA context, which would prevent forking ranks."""
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
    return torch.cuda.device_count()
