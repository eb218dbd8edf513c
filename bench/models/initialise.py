"""Memory and values for a (possibly sharded) model on the meta device, without any rank holding the whole model."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel

from bench.models.region import Region, inside, local_part, overlap, whole

EMBEDDING = "model.embed_tokens.weight"

BLOCK = 2**20
"""Maximum number of elements drawn at once, except for longer rows: 4 MiB in fp32."""


class Values(Protocol):
    """A source of parameter values."""

    def within(self, name: str, shape: torch.Size, wanted: Region) -> Iterable[tuple[Region, torch.Tensor]]:
        """Yield tensors that together fill the wanted part of a parameter, each with its region."""


@dataclass(frozen=True)
class NewValues:
    """Initial values: a function of (seed, name, place in the parameter), whatever the strategy.

    Matrices are normal with standard deviation `std`, but for a padding token's row of the input embedding, which is
    zeros. Biases are zeros, and other vectors, which are the scales of norms in these models, are ones. Matrices, each
    of a stack separately, are drawn in blocks of full rows, so that a rank draws only the blocks that it has a part of,
    and holds one at a time.
    """

    seed: int
    std: float
    device: torch.device
    padding_token: int | None = None

    def within(self, name: str, shape: torch.Size, wanted: Region) -> Iterator[tuple[Region, torch.Tensor]]:
        """Yield fp32 tensors on the device, each with its region."""
        for block in _blocks(shape):
            part = overlap(block, wanted)
            if part is not None:
                yield part, self._draw(name, block)[inside(part, block)]

    def _draw(self, name: str, block: Region) -> torch.Tensor:
        shape = [len(indices) for indices in block]
        if len(shape) == 1:
            return torch.full(shape, 0.0 if name.endswith(".bias") else 1.0, device=self.device)
        place = ",".join(str(indices.start) for indices in block)
        digest = hashlib.sha256(f"{self.seed}:{name}:{place}".encode()).digest()
        generator = torch.Generator(self.device).manual_seed(int.from_bytes(digest[:7], "big"))
        drawn = torch.empty(shape, device=self.device).normal_(0.0, self.std, generator=generator)
        if name == EMBEDDING and self.padding_token is not None and self.padding_token in block[0]:
            drawn[block[0].index(self.padding_token)] = 0.0
        return drawn


def _blocks(shape: torch.Size) -> Iterator[Region]:
    """Yield blocks of rows of every matrix of a parameter; a vector is one block."""
    if len(shape) == 1:
        yield whole(shape)
        return
    *stacks, rows, columns = shape
    run = max(1, BLOCK // columns)
    for index in itertools.product(*map(range, stacks)):
        for start in range(0, rows, run):
            yield *(range(i, i + 1) for i in index), range(start, min(start + run, rows)), range(columns)


@torch.no_grad()
def materialise(model: PreTrainedModel, values: Values, device: torch.device, alive: Callable[[], None]) -> None:
    """Give a (possibly sharded) meta model memory, and its parameters their values, part by part.

    `alive` is called between parts. Values are converted to the device and the parameter's type.
    """
    model.to_empty(device=device)
    if model.config.tie_word_embeddings and not isinstance(model.lm_head.weight, DTensor):
        model.tie_weights()  # `to_empty` gave each name its own tensor; FSDP2 keeps sharded ones tied
    for name, parameter in model.named_parameters():
        own, local = local_part(parameter)
        for part, value in values.within(name, parameter.shape, own):
            local[inside(part, own)].copy_(value)
            del value  # before the next one is made
            alive()
    # Rotary frequencies are buffers that are in no checkpoint: `to_empty` left them undefined.
    rotary = model.model.rotary_emb
    with torch.device(device):
        fresh = type(rotary)(model.config)
    for name, buffer in fresh.named_buffers():
        rotary.get_buffer(name).copy_(buffer)
