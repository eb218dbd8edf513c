"""Columns for what a run was asked to do."""

from __future__ import annotations

from bench.contract.layout import Layout
from bench.contract.plan import Cell
from bench.contract.run import Run
from bench.contract.traffic import Backend, Placed, placed, predict
from reports.data.columns.base import Column, Row, flag, number, row, text, whole

CELL: tuple[Column[[Cell]], ...] = (
    text(
        "canonical_strategy",
        "the simplest strategy with this layout (hsdp with one replica is fsdp)",
        lambda cell: cell.canonical,
    ),
)
LAYOUT: tuple[Column[[Layout]], ...] = (
    whole("federation", "federated groups (F)", lambda layout: layout.federation),
    whole("replicate", "replicas inside a federated group (R)", lambda layout: layout.replicate),
    whole(
        "shard",
        "ranks over which one copy of the model is sharded (S); F x R x S = world",
        lambda layout: layout.shard,
    ),
    whole("world", "number of ranks", lambda layout: layout.world),
)
SETTINGS: tuple[Column[[Run]], ...] = (
    text("model", "name of the model", lambda run: run.model),
    whole("nodes", "number of nodes", lambda run: run.nodes),
    whole("ranks_per_node", "ranks per node", lambda run: run.ranks_per_node),
    flag(
        "shard_groups_cross_nodes",
        "whether some shard group has ranks on several nodes, as always with fsdp on several nodes",
        lambda run: run.shard_groups_cross_nodes,
    ),
    whole("every", "optimizer steps between two federated averagings; 0 without federation", lambda run: run.every),
    whole("cuda_streams", "concurrent communicators of the federated averaging", lambda run: run.cuda_streams),
    text(
        "regime",
        "what stays equal over node counts: `micro-batch` or `global-batch`; nothing with `max-batch`",
        lambda run: run.regime,
    ),
    whole("batch_size", "micro-batch: sequences per rank and step", lambda run: run.batch_size),
    whole(
        "largest_batch_size",
        "the same, if it is the largest that fits in memory, found by trials (`regime: max-batch`)",
        lambda run: run.batch_size if run.search is not None else None,
    ),
    whole("block", "steps of a block, a common multiple of every `every` in the sweep", lambda run: run.block),
    whole("sequence_length", "tokens trained per sample", lambda run: run.training.sequence_length),
    whole("steps", "optimizer steps in all", lambda run: run.training.steps),
    whole(
        "warmup_steps", "first steps that are left out of the window, at least", lambda run: run.training.warmup_steps
    ),
    text("precision", "of parameters, gradients and optimizer state", lambda run: run.training.precision),
    text("attention", "attention implementation", lambda run: run.training.attention),
    text("optimizer", "optimizer", lambda run: run.training.optimizer),
    number("learning_rate", "peak learning rate", lambda run: run.training.learning_rate),
    whole(
        "seed",
        "of the initial weights and the order of samples; repeat r uses seed + r, alike for all strategies",
        lambda run: run.training.seed,
    ),
    flag("deterministic", "whether only deterministic algorithms were allowed", lambda run: run.training.deterministic),
    text(
        "federated_data",
        "whether federated groups read different samples (`partition`) or the same (`share`)",
        lambda run: run.training.federated_data,
    ),
    text("engine", "the engine, which trains", lambda run: run.engine),
    text("launcher", "the launcher, which starts the ranks", lambda run: run.launcher),
    text("system", "name of the system file", lambda run: run.system.name),
    text("device", "`cpu` or `cuda`", lambda run: run.system.device),
    text(
        "affinity",
        "whether each rank was pinned to its own processor cores (`cores`) or not (`none`)",
        lambda run: run.system.affinity,
    ),
)
PREDICTED: tuple[Column[[Placed]], ...] = (
    number(
        "predicted_inside_nodes_bytes",
        "bytes that a rank sends per step, on average, in collectives over ranks of one node, by the formulas of "
        "`bench/contract/traffic.py` for NCCL on GPUs and for gloo on CPUs, whose reduce-scatter sends as much as an "
        "all-reduce; the rank that sends most",
        lambda traffic: traffic.inside,
    ),
    number("predicted_between_nodes_bytes", "the same over ranks on several nodes", lambda traffic: traffic.between),
    number(
        "predicted_link_bytes",
        "bytes that leave a node per step, where every group is a ring in the order of its ranks; the busiest node. "
        "On a link that all ranks of a node share, this over its bandwidth is the least time of a step",
        lambda traffic: traffic.link,
    ),
)


def asked(run: Run) -> Row:
    """Return the values of `SETTINGS`, and of `PREDICTED`, which follows from them."""
    backend: Backend = "nccl" if run.system.device == "cuda" else "gloo"
    collectives = predict(run.shape, run.layout, run.every, run.training, backend)
    traffic = placed(collectives, run.layout, run.ranks_per_node)
    return row(SETTINGS, run) + row(PREDICTED, traffic)
