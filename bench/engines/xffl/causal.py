"""Language modelling in the library's words: batches as (tokens, labels), and a loss function made for a state."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from bench.engines.loss import cross_entropy


def pairs(rows: Sequence[Mapping[str, Any]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of token ids to (tokens, labels), both (sequences, length): the training loop returns one value too few for
    batches that are mappings.
    """
    ids = torch.tensor([row["input_ids"] for row in rows], dtype=torch.int64)
    return ids[:, :-1].contiguous(), ids[:, 1:].contiguous()


def loss_of(state: object) -> Callable[[Any, torch.Tensor], torch.Tensor]:
    """The loss function of a training; without one the training loop fails."""
    return lambda output, labels: cross_entropy(output.logits, labels)
