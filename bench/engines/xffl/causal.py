"""Causal language modelling for the xFFL library: batches as (tokens, labels), and a factory of the loss function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from bench.engines.loss import cross_entropy


def pairs(rows: Sequence[Mapping[str, Any]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Convert rows of token ids to (tokens, labels), both (sequences, length).

    Not to a mapping: for these the library's training loop returns one value too few.
    """
    ids = torch.tensor([row["input_ids"] for row in rows], dtype=torch.int64)
    return ids[:, :-1].contiguous(), ids[:, 1:].contiguous()


def loss_of(state: object) -> Callable[[Any, torch.Tensor], torch.Tensor]:
    """Return the loss function of a training; without one the library's training loop fails."""
    return lambda output, labels: cross_entropy(output.logits, labels)
