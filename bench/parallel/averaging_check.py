"""Check that every federated averaging leaves the mean in all groups, on a few elements per rank.

A rank copies its elements before and after each averaging, which costs two small kernels; rank 0 compares them after
the last step. The check covers both engines, and the networks and libraries below them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from bench.contract.layout import Layout

ELEMENTS = 8
"""Elements checked per rank, each from a different parameter if there are enough."""

_EPSILON = {"fp32": 2.0**-23, "bf16": 2.0**-7}


class Witness:
    """Copies of a few elements of what a rank averages, before and after every averaging."""

    def __init__(self, tensors: Sequence[torch.Tensor]) -> None:
        whole = [tensor.detach().view(-1) for tensor in tensors if tensor.numel()]
        count = max(1, min(ELEMENTS, len(whole)))
        chosen = [whole[place * len(whole) // count] for place in range(count)] if whole else []
        self._elements = [flat[flat.numel() // 3] for flat in chosen]
        self._before: list[torch.Tensor] = []
        self._after: list[torch.Tensor] = []

    def before(self) -> None:
        """Copy the elements before an averaging."""
        self._before.append(self._copy())

    def after(self) -> None:
        """Copy the elements after an averaging."""
        self._after.append(self._copy())

    def _copy(self) -> torch.Tensor:
        return torch.stack(self._elements) if self._elements else torch.empty(0)

    def read(self) -> list[list[list[float]]]:
        """Return [before, after] for every averaging; waits for the device."""
        if not self._after:
            return []
        both = torch.stack([torch.stack(self._before), torch.stack(self._after)], dim=1)
        noted: list[list[list[float]]] = both.double().cpu().tolist()
        return noted


def fault(layout: Layout, held: str, noted: Sequence[list[list[list[float]]]]) -> str:
    """Describe the first wrong averaging; empty if all are right. `noted` has each rank's copies, in rank order.

    All ranks with the same shard index must have their mean. A sum is rounded at most once per member, so the tolerance
    grows with their number, up to a quarter of the largest element: a sum instead of a mean is further off. In bf16
    this tolerance may exceed the differences between groups, so ranks that may share one all-reduce, those with the
    same replica index, must also be equal: bitwise in bf16, and to four units in the last place in fp32.
    """
    for shard in range(layout.shard):
        holders = range(shard, layout.world, layout.shard)
        values = np.array([noted[rank] for rank in holders], dtype=np.float64)  # (holders, averagings, 2, elements)
        for averaging in range(values.shape[1] if values.ndim == 4 else 0):
            before, after = values[:, averaging, 0], values[:, averaging, 1]
            found = _off_the_mean(holders, before, after, _EPSILON[held]) or _apart(layout, holders, after, held)
            if found:
                return f"averaging {averaging + 1} of {values.shape[1]} did not leave the mean: {found}"
    return ""


def _apart(layout: Layout, holders: range, after: npt.NDArray[np.float64], held: str) -> str:
    allowed = 0.0 if held == "bf16" else 4 * _EPSILON[held]
    for replica in range(layout.replicate):
        line, ranks = after[replica :: layout.replicate], holders[replica :: layout.replicate]
        excess = np.abs(line - line[0]) - allowed * np.abs(line).max(axis=0)
        if excess.size and excess.max() > 0:
            rank, element = np.unravel_index(int(excess.argmax()), excess.shape)
            return f"rank {ranks[int(rank)]} has {line[rank, element]:.9g} and rank {ranks[0]} {line[0, element]:.9g}"
    return ""


def _off_the_mean(
    holders: range, before: npt.NDArray[np.float64], after: npt.NDArray[np.float64], epsilon: float
) -> str:
    if not (np.isfinite(before).all() and np.isfinite(after).all()):
        return ""  # reported by the outcome `diverged`
    mean = before.mean(axis=0)
    allowed = min(epsilon * len(holders), 0.25) * np.abs(before).max(axis=0)
    excess = np.abs(after - mean) - allowed
    if excess.size == 0 or excess.max() <= 0:
        return ""
    rank, element = np.unravel_index(int(excess.argmax()), excess.shape)
    return (
        f"rank {holders[int(rank)]} has {after[rank, element]:.9g}, but the mean over {len(holders)} ranks is "
        f"{mean[element]:.9g}"
    )
