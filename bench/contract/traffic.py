"""The collectives that a training step issues on a rank, predicted from shape and layout. Imports no torch.

Bytes are the size S of the whole tensor that a collective works on. The time on n ranks of a ring with bandwidth B and
latency a is AG(S) = RS(S) = a (n-1) + S (n-1) / (n B) and AR(S) = 2 a (n-1) + 2 S (n-1) / (n B) (bandwidth terms as in
NVIDIA's nccl-tests, doc/PERFORMANCE.md).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.contract.base import DType
from bench.contract.layout import Layout
from bench.contract.shapes import Shape
from bench.contract.training import Training

BYTES: dict[DType, int] = {"fp32": 4, "bf16": 2}

Kind = Literal["all-gather", "reduce-scatter", "all-reduce"]
Over = Literal["shard", "replicas", "federation"]


@dataclass(frozen=True)
class Traffic:
    """One kind of collective over one kind of group.

    Attributes:
        ranks: of the group.
        bytes: sum of the whole tensors' sizes in one step that issues them.
        every: issued in every `every`-th step.

    """

    kind: Kind
    over: Over
    ranks: int
    bytes: int
    every: int = 1

    @property
    def sent_per_step(self) -> float:
        """Bytes that a rank sends per step, on average, in a ring."""
        turns = 2 if self.kind == "all-reduce" else 1
        return turns * self.bytes * (self.ranks - 1) / self.ranks / self.every


def predict(shape: Shape, layout: Layout, every: int, training: Training) -> list[Traffic]:
    """What one rank takes part in, per step.

    Inside a shard group, in every micro-batch, the layers' parameters are gathered for the forward and again for the
    backward pass, unless they are kept in between; what belongs to no layer (embedding, last norm, head) is gathered
    once, since FSDP2 does not reshard the root after the forward pass. Replicas sum their gradients once a step.
    Averaging a federation travels in fp32, whatever the parameters' precision. Sizes that do not divide by the shard
    degree are padded by FSDP2, which this leaves out, and so are the few bytes of a clipped gradient's norm.
    """
    gathered = shape.parameters * BYTES[training.computation]
    reduced = shape.parameters * BYTES[training.reduction]
    root = shape.embedding_parameters * (1 if shape.tie_embeddings else 2) + shape.hidden_size
    again = gathered - root * BYTES[training.computation] if training.reshard_after_forward else 0
    traffic = []
    if layout.shard > 1:
        traffic.append(Traffic("all-gather", "shard", layout.shard, training.accumulation * (gathered + again)))
        traffic.append(Traffic("reduce-scatter", "shard", layout.shard, training.accumulation * reduced))
    if layout.replicate > 1:
        traffic.append(Traffic("all-reduce", "replicas", layout.replicate, reduced // layout.shard))
    if layout.federation > 1:
        holders = layout.federation * layout.replicate
        averaged = shape.parameters * BYTES["fp32"] // layout.shard
        traffic.append(Traffic("all-reduce", "federation", holders, averaged, every))
    return traffic


@dataclass(frozen=True)
class Placed:
    """Bytes per step by whether they have to leave a node.

    Attributes:
        inside: that a rank sends in groups whose ranks share a node; the rank that sends most.
        between: the same in groups with ranks on several nodes.
        link: that leave a node over its link to the others, in rings in the order of ranks; the busiest node.

    """

    inside: float
    between: float
    link: float


def placed(traffic: Sequence[Traffic], layout: Layout, ranks_per_node: int) -> Placed:
    """Where the traffic goes, nodes being consecutive ranks."""
    inside, between, link = (
        defaultdict[int, float](float),
        defaultdict[int, float](float),
        defaultdict[int, float](float),
    )
    for part in traffic:
        for group in _groups(part.over, layout):
            is_inside = group[0] // ranks_per_node == group[-1] // ranks_per_node
            for rank, following in zip(group, [*group[1:], group[0]], strict=True):
                (inside if is_inside else between)[rank] += part.sent_per_step
                if rank // ranks_per_node != following // ranks_per_node:
                    link[rank // ranks_per_node] += part.sent_per_step
    return Placed(*(max(found.values(), default=0.0) for found in (inside, between, link)))


def _groups(over: Over, layout: Layout) -> list[range]:
    """Ranks of every group of a kind."""
    if over == "shard":
        return [range(first, first + layout.shard) for first in range(0, layout.world, layout.shard)]
    whole = layout.group if over == "replicas" else layout.world
    return [
        range(first + shard, first + whole, layout.shard)
        for first in range(0, layout.world, whole)
        for shard in range(layout.shard)
    ]
