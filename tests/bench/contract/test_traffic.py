"""The collectives of a step are the predicted ones, counted as they are issued."""

from __future__ import annotations

import os
import socket
import struct
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch.utils._python_dispatch import TorchDispatchMode

from bench.contract.layout import Layout
from bench.contract.run import Run
from bench.contract.shapes import STOCK
from bench.contract.traffic import Traffic, placed, predict
from bench.contract.training import Training
from tests.support.ranks import Ranks
from tests.support.runs import NoProgress, make_run, train_rank

Counted = dict[tuple[str, int], int]

COUNTED = {
    "_allgather_base_": ("all-gather", 0),
    "_reduce_scatter_base_": ("reduce-scatter", 1),
    "allreduce_": ("all-reduce", 0),
}
"""Kind, and the place of the whole tensor among the arguments, by torch's name."""


class Collectives(TorchDispatchMode):
    """Counts bytes of the whole tensor by kind of collective and size of its group."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes: Counter[tuple[str, int]] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        namespace, _, name = func.name().partition("::")
        if namespace == "c10d" and name in COUNTED:
            kind, place = COUNTED[name]
            tensors = args[place] if isinstance(args[place], list) else [args[place]]
            group = next(
                arg for arg in args if isinstance(arg, torch.ScriptObject) and "ProcessGroup" in str(arg._type())
            )
            ranks = dist.ProcessGroup.unbox(group).size()
            self.bytes[kind, ranks] += sum(each.numel() * each.element_size() for each in tensors)
        elif namespace == "c10d":
            self.bytes[name, 0] += 1  # setting up has others; in a step it is one that nobody predicted
        return func(*args, **(kwargs or {}))


class LastStep(NoProgress):
    """Counts from the end of the last step but one: the first ones set things up, and DDP orders its buckets anew in
    the second.
    """

    def __init__(self, counted: Collectives, steps: int) -> None:
        super().__init__()
        self._counted = counted
        self._last = steps - 1

    def finished(self, step: int, losses: torch.Tensor) -> None:
        if step + 1 == self._last:
            self._counted.bytes.clear()


def collectives_of_a_step(rank: int, run: Run) -> Counted:
    with Collectives() as counted:
        train_rank(run, rank, watcher=LastStep(counted, run.training.steps))
    return dict(counted.bytes)


def predicted_for(run: Run) -> Counted:
    predicted: Counter[tuple[str, int]] = Counter()
    for traffic in predict(run.shape, run.layout, run.every, run.training, "gloo"):
        predicted[traffic.kind, traffic.ranks] += traffic.bytes
    return dict(predicted)


WIDE = STOCK["llama-tiny"].model_copy(update={"hidden_size": 240, "intermediate_size": 480, "vocab_size": 480})
"""Divided by 3 and 4, so that FSDP2 pads nothing."""

BRIEF = {"every": 1, "block": 1, "steps": 3, "warmup_steps": 0}


LAYOUTS = [(1, 1, 4), (1, 1, 8), (1, 2, 4), (1, 4, 1), (2, 1, 4), (2, 2, 2), (4, 1, 1)]


@pytest.mark.parametrize(
    ("model", "precision", "layouts"),
    [
        ("mixtral-tiny", "fp32", [(1, 1, 4), (1, 2, 2), (2, 1, 2)]),
        pytest.param("mixtral-tiny", "fp32", LAYOUTS, marks=pytest.mark.soak),
        pytest.param("llama-tiny", "bf16", LAYOUTS, marks=pytest.mark.soak),
    ],
    ids=["narrow", "wide", "wide bf16"],
)
def test_collectives_are_the_predicted_ones(
    ranks: Ranks, data: Path, model: str, precision: str, layouts: list[tuple[int, int, int]]
) -> None:
    for layout in layouts:
        run = make_run(data, layout, model=model, precision=precision, **BRIEF)
        for counted in ranks(run.world, collectives_of_a_step, run):
            assert counted == predicted_for(run), layout


@pytest.mark.soak
@pytest.mark.parametrize(
    "settings",
    [
        {"precision": "bf16-mixed"},
        {"precision": "bf16-mixed", "reduce_dtype": "bf16"},
        {"precision": "bf16", "reduce_dtype": "fp32"},
        {"reduce_dtype": "bf16", "accumulation": 2},
        {"reshard_after_forward": False, "prefetch": 1},
        {"accumulation": 3},
        {"activation_checkpointing": "full"},
    ],
    ids=str,
)
def test_options_change_the_collectives_as_predicted(ranks: Ranks, data: Path, settings: dict[str, Any]) -> None:
    """What types say, what resharding costs, that replicas sum once a step, that recomputing gathers nothing anew."""
    for layout in [(1, 1, 4), (1, 2, 2), (1, 4, 1)]:
        run = make_run(data, layout, **BRIEF, **settings)
        for counted in ranks(run.world, collectives_of_a_step, run):
            assert {key: size for key, size in counted.items() if key[1] != 1} == predicted_for(run), layout


def test_published_shapes() -> None:
    """Llama-3.1-8B in bf16, figures worked out by hand: 16.06 GB of parameters, 2.1 GB of them in the root."""
    shape = STOCK["llama3.1-8b"]
    sent = {
        (each.kind, each.over): each.sent_per_step / 1e9
        for each in predict(shape, Layout(federation=4, replicate=1, shard=32), 8, Training(precision="bf16"), "nccl")
    }
    assert sent["all-gather", "shard"] == pytest.approx(2 * 15.559 - 2.036, abs=0.01)
    assert sent["reduce-scatter", "shard"] == pytest.approx(15.559, abs=0.01)
    # P x 4 bytes / 32 shards over 4 groups: 2 x 1.0038 GB x 3/4, every 8 steps
    assert sent["all-reduce", "federation"] == pytest.approx(0.1882, abs=0.001)


def bytes_sent() -> int:
    """Bytes that this process has sent over its open TCP connections, as the kernel counts them.

    Without headers, and without what TCP sent again: on a busy machine it does so now and then.
    """
    total = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        if not descriptor.is_socket():
            continue
        with socket.socket(fileno=os.dup(int(descriptor.name))) as connection:
            if connection.family in (socket.AF_INET, socket.AF_INET6) and connection.type == socket.SOCK_STREAM:
                found = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
                sent, again = struct.unpack_from("=QQ", found, 200)  # tcpi_bytes_sent and _retrans of linux/tcp.h
                total += sent - again
    return total


ELEMENTS = 3 * 2**18
"""Divided by 2, 3 and 4: 3 MiB in fp32, against which the heads of messages are nothing."""


def sent_in_collectives(rank: int) -> dict[str, int]:
    whole = torch.ones(ELEMENTS)
    part = torch.ones(ELEMENTS // dist.get_world_size())
    collectives: dict[str, Callable[[], object]] = {
        "all-gather": lambda: dist.all_gather_into_tensor(whole, part),
        "reduce-scatter": lambda: dist.reduce_scatter_tensor(part, whole),
        "all-reduce": lambda: dist.all_reduce(whole),
    }
    found = {}
    for kind, collective in collectives.items():
        before = bytes_sent()
        collective()
        dist.barrier()  # a rank that has received everything may still be sending
        found[kind] = bytes_sent() - before
    return found


@pytest.mark.parametrize("world", [2, 3, 4])
def test_gloo_sends_the_predicted_bytes(ranks: Ranks, world: int) -> None:
    for found in ranks(world, sent_in_collectives):
        for kind, sent in found.items():
            predicted = Traffic(kind, "shard", world, 4 * ELEMENTS, backend="gloo").sent_per_step
            assert sent == pytest.approx(predicted, rel=0.05), kind


class SentInLastStep(NoProgress):
    """Counts from the end of the last step but one to the end of the last."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self._steps = steps
        self.counts: list[int] = []

    def finished(self, step: int, losses: torch.Tensor) -> None:
        if step + 2 >= self._steps:
            dist.barrier()  # nothing of the step is on its way
            self.counts.append(bytes_sent())


def sent_in_a_step(rank: int, run: Run) -> int:
    watcher = SentInLastStep(run.training.steps)
    train_rank(run, rank, watcher=watcher)
    before, after = watcher.counts
    return after - before


@pytest.mark.parametrize("layout", [(1, 1, 3), (1, 1, 4), (1, 2, 2), (2, 1, 2), (1, 4, 1)])
def test_a_rank_sends_the_predicted_bytes_in_a_step(ranks: Ranks, data: Path, layout: tuple[int, int, int]) -> None:
    run = make_run(data, layout, clip_norm=0.0, **BRIEF).model_copy(update={"shape": WIDE})
    predicted = sum(
        each.sent_per_step for each in predict(run.shape, run.layout, run.every, run.training, backend="gloo")
    )
    for sent in ranks(run.world, sent_in_a_step, run):
        assert sent == pytest.approx(predicted, rel=0.05)


@pytest.mark.parametrize(
    ("layout", "traffic", "expected"),
    [
        # One ring over 4 nodes of 2 ranks: each rank sends 7/8, and one rank of a node sends to the next node.
        (Layout(federation=1, replicate=1, shard=8), Traffic("all-gather", "shard", 8, 800), (0, 700, 700)),
        (Layout(federation=1, replicate=4, shard=2), Traffic("all-gather", "shard", 2, 800), (400, 0, 0)),
        # A ring for each of a node's two shards, whose ranks sit on four nodes: both leave every node.
        (Layout(federation=1, replicate=4, shard=2), Traffic("all-reduce", "replicas", 4, 400), (0, 600, 1200)),
        (Layout(federation=4, replicate=1, shard=2), Traffic("all-reduce", "federation", 4, 400, 4), (0, 150, 300)),
        # Replicas inside a federated group that is a node.
        (Layout(federation=4, replicate=2, shard=1), Traffic("all-reduce", "replicas", 2, 400), (400, 0, 0)),
        (Layout(federation=4, replicate=2, shard=1), Traffic("all-reduce", "federation", 8, 400, 4), (0, 175, 175)),
    ],
)
def test_what_leaves_a_node_on_four_nodes_of_two_ranks(
    layout: Layout, traffic: Traffic, expected: tuple[int, int, int]
) -> None:
    found = placed([traffic], layout, 2)
    assert (found.inside, found.between, found.link) == expected
