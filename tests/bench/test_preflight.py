"""What is measured of machines and links before any run."""

from __future__ import annotations

import socket

import torch

from bench.contract import Preflight
from bench.mesh import Position
from bench.preflight import LARGE, measure
from tests.ranks import Ranks


def measured_on(rank: int, world: int, on_a_node: int) -> Preflight | None:
    position = Position(rank, world, rank % on_a_node, on_a_node, rank // on_a_node)
    return measure(position, "fp32", torch.device("cpu"))


def test_ranks_measure_their_devices_nodes_and_the_links_between_them(ranks: Ranks) -> None:
    found, *others = ranks(6, measured_on, 6, 2)
    assert others == [None] * 5
    here = socket.gethostname()
    assert [(each.rank, each.local_rank, each.host, each.device) for each in found.devices] == [
        (rank, rank % 2, here, "cpu") for rank in range(6)
    ]
    assert [node.host for node in found.nodes] == [here] * 3
    assert len(found.links) == 3
    for bandwidth in [*(node.inside for node in found.nodes), found.between_nodes, *found.links]:
        assert bandwidth.message_bytes in (LARGE, LARGE // 16)
        assert 1e6 < bandwidth.bytes_per_s < 1e12
