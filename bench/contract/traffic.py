"""Prediction of a training step's collectives from shape and layout. Imports no torch.

Bytes are the size S of the whole tensor that a collective works on. On a ring of n ranks with bandwidth B and latency
a, a collective takes AG(S) = RS(S) = a (n-1) + S (n-1) / (n B) and AR(S) = 2 a (n-1) + 2 S (n-1) / (n B); the bandwidth
terms are those of NVIDIA's nccl-tests, doc/PERFORMANCE.md. NCCL sends so. gloo's all-gather and all-reduce do too, but
its reduce-scatter sends as much as an all-reduce: measured with torch 2.13 on 2, 3, 4 and 8 ranks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from bench.contract.base import DType
from bench.contract.layout import Layout
from bench.contract.shapes import Shape
from bench.contract.training import Training

BYTES: dict[DType, int] = {"fp32": 4, "bf16": 2}

Kind = Literal["all-gather", "reduce-scatter", "all-reduce"]
Over = Literal["shard", "replicas", "federation"]
Backend = Literal["nccl", "gloo"]

_TURNS: dict[Backend, dict[Kind, int]] = {
    "nccl": {"all-gather": 1, "reduce-scatter": 1, "all-reduce": 2},
    "gloo": {"all-gather": 1, "reduce-scatter": 2, "all-reduce": 2},
}
"""How often the whole tensor goes around the ring."""


@dataclass(frozen=True)
class Traffic:
    """One kind of collective over one kind of group.

    Attributes:
        ranks: size of the group.
        bytes: total size of the whole tensors in one step that issues the collective.
        every: interval in steps at which it is issued.
        backend: library that carries it out.

    """

    kind: Kind
    over: Over
    ranks: int
    bytes: int
    every: int = 1
    backend: Backend = "nccl"

    @property
    def sent_per_step(self) -> float:
        """Mean bytes that a rank sends per step."""
        return _TURNS[self.backend][self.kind] * self.bytes * (self.ranks - 1) / self.ranks / self.every


def predict(shape: Shape, layout: Layout, every: int, training: Training, backend: Backend) -> list[Traffic]:
    """Return the collectives that one rank takes part in per step.

    In a shard group, every micro-batch gathers the layers' parameters for the forward pass and, unless they are kept,
    again for the backward pass. Parameters outside the layers (embedding, last norm, head) are gathered once, since
    FSDP2 does not reshard the root after the forward pass. Replicas sum their gradients once per step. Averaging sends
    fp32, whatever the parameters' precision. Not counted: FSDP2's padding of sizes that the shard degree does not
    divide, and the few bytes of a clipped gradient's norm.
    """
    parameters = shape.parameters
    gathered = parameters * BYTES[training.computation]
    reduced = parameters * BYTES[training.reduction]
    root = shape.embedding_parameters * (1 if shape.tie_embeddings else 2) + shape.hidden_size
    again = gathered - root * BYTES[training.computation] if training.reshard_after_forward else 0
    traffic = []
    if layout.shard > 1:
        batches = training.accumulation
        traffic.append(Traffic("all-gather", "shard", layout.shard, batches * (gathered + again), backend=backend))
        traffic.append(Traffic("reduce-scatter", "shard", layout.shard, batches * reduced, backend=backend))
    if layout.replicate > 1:
        summed = reduced // layout.shard
        traffic.append(Traffic("all-reduce", "replicas", layout.replicate, summed, backend=backend))
    if layout.federation > 1:
        holders = layout.federation * layout.replicate
        averaged = parameters * BYTES["fp32"] // layout.shard
        traffic.append(Traffic("all-reduce", "federation", holders, averaged, every, backend))
    return traffic


@dataclass(frozen=True)
class Placed:
    """Bytes per step inside and between nodes.

    Attributes:
        inside: bytes that a rank sends in groups within one node; the rank that sends most.
        between: the same for groups that span several nodes.
        link: bytes that leave a node, with every group a ring in rank order; the busiest node.

    """

    inside: float
    between: float
    link: float


def placed(traffic: Sequence[Traffic], layout: Layout, ranks_per_node: int) -> Placed:
    """Split traffic by where it goes; a node's ranks are consecutive."""
    kinds = tuple(dict.fromkeys(part.over for part in traffic))
    sent = [sum(part.sent_per_step for part in traffic if part.over == kind) for kind in kinds]
    places, links = _places(kinds, layout, ranks_per_node)
    return Placed(
        inside=max((_sum(sent, [not crosses for crosses in place]) for place in places), default=0.0),
        between=max((_sum(sent, place) for place in places), default=0.0),
        link=max((_sum(sent, counts) for counts in links), default=0.0),
    )


def _sum(sent: list[float], weights: Iterable[int]) -> float:
    return sum(weight * of_kind for weight, of_kind in zip(weights, sent, strict=True))


@lru_cache(maxsize=1024)
def _places(
    kinds: tuple[Over, ...], layout: Layout, ranks_per_node: int
) -> tuple[frozenset[tuple[bool, ...]], frozenset[tuple[int, ...]]]:
    """Return what occurs among ranks, and among nodes: they are many, and nearly all alike.

    For each kind of group: whether a rank's spans several nodes; how many of its hops in rank order leave a node.
    """
    crossing = [[False] * layout.world for _ in kinds]
    leaving = [[0] * (layout.world // ranks_per_node + 1) for _ in kinds]
    for place, kind in enumerate(kinds):
        for group in _groups(kind, layout):
            crosses = group[0] // ranks_per_node != group[-1] // ranks_per_node
            for rank, following in zip(group, [*group[1:], group[0]], strict=True):
                crossing[place][rank] = crosses
                leaving[place][rank // ranks_per_node] += rank // ranks_per_node != following // ranks_per_node
    return frozenset(zip(*crossing, strict=True)), frozenset(zip(*leaving, strict=True))


def _groups(over: Over, layout: Layout) -> list[range]:
    """Return the ranks of every group of one kind."""
    if over == "shard":
        return [range(first, first + layout.shard) for first in range(0, layout.world, layout.shard)]
    whole = layout.group if over == "replicas" else layout.world
    return [
        range(first + shard, first + whole, layout.shard)
        for first in range(0, layout.world, whole)
        for shard in range(layout.shard)
    ]
