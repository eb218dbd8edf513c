"""Whether the groups hold their mean after every federated averaging: a few elements, compared when the window is over.

A rank copies its elements before and after each averaging, which costs two small kernels; all that compares them
happens on rank 0, after the last step. It guards both engines, and the networks and libraries beneath them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from bench.contract.layout import Layout

ELEMENTS = 8
"""Elements of a rank that are looked at, each of another parameter where there are as many."""

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
        """Note what the rank holds as its group's own."""
        self._before.append(self._copy())

    def after(self) -> None:
        """Note what it holds once the groups were averaged."""
        self._after.append(self._copy())

    def _copy(self) -> torch.Tensor:
        return torch.stack(self._elements) if self._elements else torch.empty(0)

    def read(self) -> list[list[list[float]]]:
        """[before, after] for every averaging; waits for the device."""
        if not self._after:
            return []
        both = torch.stack([torch.stack(self._before), torch.stack(self._after)], dim=1)
        noted: list[list[list[float]]] = both.double().cpu().tolist()
        return noted


def fault(layout: Layout, held: str, noted: Sequence[list[list[list[float]]]]) -> str:
    """What is wrong with the averagings that the ranks noted, in rank order; empty where nothing is.

    All ranks that hold the same shard index must hold their mean. Sums are rounded once per member at most, so what is
    allowed grows with their number, up to a quarter of the largest element: a sum instead of a mean is further off. In
    bf16 that is more than the groups may differ by, so ranks that one all-reduce may serve, those with the same replica
    index, must also hold the same value: to the bit in bf16, and to four units in the last place in fp32.
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
            return f"rank {ranks[int(rank)]} holds {line[rank, element]:.9g} and rank {ranks[0]} {line[0, element]:.9g}"
    return ""


def _off_the_mean(
    holders: range, before: npt.NDArray[np.float64], after: npt.NDArray[np.float64], epsilon: float
) -> str:
    if not (np.isfinite(before).all() and np.isfinite(after).all()):
        return ""  # a loss that is not finite says so itself
    mean = before.mean(axis=0)
    allowed = min(epsilon * len(holders), 0.25) * np.abs(before).max(axis=0)
    excess = np.abs(after - mean) - allowed
    if excess.size == 0 or excess.max() <= 0:
        return ""
    rank, element = np.unravel_index(int(excess.argmax()), excess.shape)
    return (
        f"rank {holders[int(rank)]} holds {after[rank, element]:.9g} where the mean over {len(holders)} ranks is "
        f"{mean[element]:.9g}"
    )
