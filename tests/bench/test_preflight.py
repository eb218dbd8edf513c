"""What is measured of machines and links before any run, and what is said of it."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from bench.contract.results.measured import Measured, Seat
from bench.contract.results.outcomes import Caution
from bench.contract.results.preflight import Bandwidth, DeviceSpeed, LinkSpeed, NodeSpeed, Preflight
from bench.measure.outliers import compared, outliers, slow_hosts
from bench.parallel.mesh import Position
from bench.preflight import LARGE, QUICK, SMALL, TIMES, measure, rounds, timed
from tests.support.agents import Agents
from tests.support.documents import a_measurement
from tests.support.ranks import Ranks
from tests.support.runs import CPU, make_run


def measured_on(rank: int, world: int, on_a_node: int) -> Preflight | None:
    return measure(Position(rank, world, rank % on_a_node, on_a_node, rank // on_a_node), "fp32", CPU)


def test_ranks_measure_their_devices_nodes_and_the_links_between_them(ranks: Ranks) -> None:
    found, *others = ranks(6, measured_on, 6, 2)
    assert others == [None] * 5
    here = socket.gethostname()
    assert [(each.rank, each.local_rank, each.host, each.device) for each in found.devices] == [
        (rank, rank % 2, here, "cpu") for rank in range(6)
    ]
    assert found.computation == "fp32"
    assert [node.host for node in found.nodes] == [here] * 3
    assert len(found.links) == 3
    for bandwidth in [*(node.inside for node in found.nodes), found.between_nodes, *found.links]:
        assert bandwidth.message_bytes in (SMALL, LARGE)
        assert 1e6 < bandwidth.bytes_per_s < 1e12


@pytest.mark.soak  # on a virtual cluster CI does it in every job
@pytest.mark.parametrize(
    "options",
    [
        pytest.param(lambda _: [], id="exec"),
        pytest.param(lambda agents: agents.forking, id="fork"),
    ],
)
def test_an_agent_starts_it_in_place_of_the_training(options: Callable[[Agents], list[str]], tmp_path: Path) -> None:
    agents = Agents(make_run(tmp_path / "no-data", (1, 1, 2)), tmp_path / "preflight")
    agent = agents.start("--node", "0", "--preflight", *options(agents))
    said, _ = agent.communicate(timeout=200)
    assert agent.returncode == 0, said
    found = Preflight.model_validate_json((agents.folder / "preflight.json").read_bytes())
    assert [each.rank for each in found.devices] == [0, 1]
    assert found.nodes[0].inside is not None
    assert (found.between_nodes, found.links) == (None, [])


def timed_on(_: int, delay: float) -> tuple[list[float], int]:
    def exchange(_: torch.Tensor) -> None:
        time.sleep(delay)

    assert dist.group.WORLD is not None
    return timed(exchange, dist.group.WORLD, CPU)


def test_large_messages_go_only_where_a_small_one_was_quick(ranks: Ranks) -> None:
    for times, size in ranks(2, timed_on, 0.0):
        assert (len(times), size) == (TIMES, LARGE)
    for times, size in ranks(2, timed_on, 2 * QUICK):
        assert (len(times), size) == (1, SMALL)


@pytest.mark.parametrize("nodes", range(1, 9))
def test_every_pair_of_neighbours_has_its_round_and_no_node_two_at_once(nodes: int) -> None:
    found = rounds(nodes)
    ring = {frozenset((node, (node + 1) % nodes)) for node in range(nodes)} if nodes > 1 else set()
    assert sorted(map(sorted, ring)) == sorted(sorted(pair) for pairs in found for pair in pairs)
    assert len(found) <= 3
    for pairs in found:
        asked = [node for pair in pairs for node in pair]
        assert len(asked) == len(set(asked))


def healthy() -> Preflight:
    """Four nodes of two ranks that are all alike."""
    hosts = ["a", "b", "c", "d"]
    speed = Bandwidth(bytes_per_s=1e9, message_bytes=LARGE)
    return Preflight(
        seconds=1.0,
        computation="fp32",
        devices=[
            DeviceSpeed(rank=rank, host=hosts[rank // 2], local_rank=rank % 2, device="H200", matmul_flops=1e12)
            for rank in range(8)
        ],
        nodes=[NodeSpeed(host=host, inside=speed) for host in hosts],
        between_nodes=speed,
        links=[LinkSpeed(hosts=pair, **speed.model_dump()) for pair in zip(hosts, [*hosts[1:], hosts[0]], strict=True)],
    )


def changed(found: Preflight, part: str, index: int, **values: object) -> Preflight:
    parts = list(getattr(found, part))
    parts[index] = parts[index].model_copy(update=values)
    return found.model_copy(update={part: parts})


def test_what_is_slower_than_its_like_is_named() -> None:
    slow = Bandwidth(bytes_per_s=4.9e8, message_bytes=LARGE)
    found = healthy()
    assert outliers(found) == []
    for part, index, values in [
        ("devices", 3, {"matmul_flops": 7.9e11}),
        ("devices", 0, {"matmul_flops": 8.1e11}),
        ("devices", 7, {"matmul_flops": 1e11, "device": "another kind"}),
        ("nodes", 2, {"inside": slow}),
        ("links", 0, {"bytes_per_s": slow.bytes_per_s}),
        ("links", 3, {"bytes_per_s": slow.bytes_per_s}),
    ]:
        found = changed(found, part, index, **values)
    assert [outlier.sentence for outlier in outliers(found)] == [
        "rank 3 (host b, local rank 1): a matrix product runs at 79 % of the median for H200",
        "node 2 (c): the bandwidth among its ranks is 49 % of the median",
        "the link between a and b has 49 % of the median bandwidth",
        "the link between d and a has 49 % of the median bandwidth",
    ]


@pytest.mark.parametrize(
    ("part", "index", "values", "affected"),
    [
        ("devices", 3, {"matmul_flops": 7.9e11}, [2, 3, 4]),
        ("nodes", 2, {"inside": Bandwidth(bytes_per_s=4.9e8, message_bytes=LARGE)}, [3, 4]),
        ("links", 0, {"bytes_per_s": 4.9e8}, [2, 3, 4]),
        ("links", 2, {"bytes_per_s": 4.9e8}, [4]),
        ("links", 3, {"bytes_per_s": 4.9e8}, [4]),
    ],
)
def test_an_outlier_affects_runs_that_use_all_of_its_hosts(
    part: str, index: int, values: dict[str, object], affected: list[int]
) -> None:
    """Runs on the first nodes of four."""
    found = changed(healthy(), part, index, **values)
    (outlier,) = outliers(found)
    assert [nodes for nodes in (1, 2, 3, 4) if slow_hosts(found, nodes)] == affected
    assert slow_hosts(found, 4) == [outlier.sentence]


def a_run_at(mean: float, slowest: float | None, seats: list[tuple[str, int]]) -> Measured:
    """A run whose ranks, on those hosts and local ranks, were this fast in a matrix product."""
    measured = a_measurement(1000.0, 2)
    speeds = {"matmul_flops": mean, "matmul_flops_min": slowest}
    placed = [
        Seat(rank=rank, host=host, local_rank=local, device="H200", cores="0")
        for rank, (host, local) in enumerate(seats)
    ]
    return measured.model_copy(
        update={
            "utilisation": measured.utilisation.model_copy(update=speeds),
            "provenance": measured.provenance.model_copy(update={"seats": placed}),
        }
    )


SEATS = [("a", 0), ("a", 1), ("b", 0), ("b", 1)]


@pytest.mark.parametrize(
    ("mean", "slowest", "seats", "precision", "warned"),
    [
        (1e12, 1e12, SEATS, "fp32", False),
        (0.85e12, 0.85e12, SEATS, "fp32", False),
        (0.75e12, 0.75e12, SEATS, "fp32", True),
        (1.25e12, 1.25e12, SEATS, "fp32", True),
        (0.9e12, 0.5e12, SEATS, "fp32", True),  # one device of several
        (0.5e12, None, SEATS, "fp32", True),  # measured before the slowest rank was recorded
        (0.5e12, 0.5e12, SEATS, "bf16", False),  # another product
        (0.5e12, 0.5e12, [*SEATS, ("elsewhere", 0)], "fp32", False),
        (0.5e12, 0.5e12, [], "fp32", False),
    ],
)
def test_a_run_on_devices_that_changed_their_speed_has_a_caution(
    tmp_path: Path, mean: float, slowest: float | None, seats: list[tuple[str, int]], precision: str, warned: bool
) -> None:
    run = make_run(tmp_path, (1, 1, 4), precision=precision)
    found = compared(run, a_run_at(mean, slowest, seats), healthy())
    assert (found.cautions == [Caution.DEVICE_SPEED_CHANGED]) == warned
    assert bool(found.cautions) == warned
    earlier = healthy().model_copy(update={"computation": None})
    assert compared(run, a_run_at(mean, slowest, seats), earlier).cautions == []
