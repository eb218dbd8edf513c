"""Measurements of an allocation's devices and links, taken before any run."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveFloat

from bench.contract.base import Document, DType, NonNegativeInt, PositiveInt


class DeviceSpeed(Document):
    """Speed of a rank's device in a matrix product, all ranks at once."""

    rank: NonNegativeInt
    host: str
    local_rank: NonNegativeInt
    device: str
    matmul_flops: PositiveFloat = Field(description="FLOP/s")


class Bandwidth(Document):
    """Bandwidth for messages of one size."""

    bytes_per_s: PositiveFloat
    message_bytes: PositiveInt = Field(description="smaller if a small message was already slow")


class NodeSpeed(Document):
    """Bandwidth among the ranks of a node, all nodes at once."""

    host: str
    inside: Bandwidth | None = Field(description="bus bandwidth of an all-reduce; None with one rank")


class LinkSpeed(Bandwidth):
    """Bandwidth between two neighbours in the ring of nodes, one rank on each: a message there and back."""

    hosts: tuple[str, str]


class Preflight(Document):
    """Measurements of an allocation's devices and links, taken before any run."""

    version: Literal[1] = 1
    seconds: PositiveFloat = Field(description="duration of the preflight, without the start of the ranks")
    computation: DType | None = Field(None, description="type of the matrix product; None in older files")
    devices: list[DeviceSpeed] = Field(description="in rank order")
    nodes: list[NodeSpeed] = Field(description="in node order")
    between_nodes: Bandwidth | None = Field(
        description="bus bandwidth of an all-reduce among one rank of each node; None with one node"
    )
    links: list[LinkSpeed] = Field(description="in the order of each pair's first node; the last link closes the ring")
