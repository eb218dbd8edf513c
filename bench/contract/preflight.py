"""What the machines of an allocation and the links between them did before any run."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from bench.contract.base import Document


class DeviceSpeed(Document):
    """What a rank's device did in a matrix product, all ranks at once."""

    rank: NonNegativeInt
    host: str
    local_rank: NonNegativeInt
    device: str
    matmul_flops: PositiveFloat = Field(description="FLOP/s")


class Bandwidth(Document):
    """How fast messages of a size went."""

    bytes_per_s: PositiveFloat
    message_bytes: PositiveInt = Field(description="smaller where a small message was slow already")


class NodeSpeed(Document):
    """What the ranks of a node did among themselves, all nodes at once."""

    host: str
    inside: Bandwidth | None = Field(description="bus bandwidth of an all-reduce; None with one rank")


class LinkSpeed(Bandwidth):
    """What two nodes did that are neighbours in the ring of nodes, one rank on each: a message there and back."""

    hosts: tuple[str, str]


class Preflight(Document):
    """What the machines of an allocation and the links between them did before any run."""

    version: Literal[1] = 1
    seconds: PositiveFloat = Field(description="that it took, without the ranks' start")
    devices: list[DeviceSpeed] = Field(description="in rank order")
    nodes: list[NodeSpeed] = Field(description="in node order")
    between_nodes: Bandwidth | None = Field(
        description="bus bandwidth of an all-reduce among one rank of each node; None with one node"
    )
    links: list[LinkSpeed] = Field(description="by the first node of each pair; the last one is closed to a ring")
