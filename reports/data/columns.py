"""The columns of the frame: what is taken from a run that was asked for, and from what it measured.

Every name carries its unit; docs/reference/metrics.md describes each one.
"""

from __future__ import annotations

import json

from bench.contract.layout import Layout
from bench.contract.measured import Measured
from bench.contract.result import Result
from bench.contract.run import Run
from bench.contract.traffic import placed, predict

GIB = 2**30

Scalar = bool | int | float | str | None


def _gib(size: int | None) -> float | None:
    return None if size is None else size / GIB


def divided(layout: Layout) -> dict[str, Scalar]:
    """How the world is divided: known for every planned run, begun or not."""
    return {
        "federation": layout.federation,
        "replicate": layout.replicate,
        "shard": layout.shard,
        "world": layout.world,
    }


def asked(run: Run) -> dict[str, Scalar]:
    """What the run was asked to do."""
    training = run.training
    goes = placed(predict(run.shape, run.layout, run.every, training), run.layout, run.ranks_per_node)
    return {
        "model": run.model,
        "nodes": run.nodes,
        "ranks_per_node": run.ranks_per_node,
        "shard_groups_cross_nodes": run.shard_groups_cross_nodes,
        "every": run.every,
        "cuda_streams": run.cuda_streams,
        "regime": run.regime,
        "batch_size": run.batch_size,
        "block": run.block,
        "sequence_length": training.sequence_length,
        "steps": training.steps,
        "warmup_steps": training.warmup_steps,
        "precision": training.precision,
        "attention": training.attention,
        "optimizer": training.optimizer,
        "learning_rate": training.learning_rate,
        "seed": training.seed,
        "deterministic": training.deterministic,
        "federated_data": training.federated_data,
        "engine": run.engine,
        "launcher": run.launcher,
        "system": run.system.name,
        "device": run.system.device,
        "affinity": run.system.affinity,
        "predicted_inside_nodes_bytes": goes.inside,
        "predicted_between_nodes_bytes": goes.between,
        "predicted_link_bytes": goes.link,
    }


def ended(result: Result, nodes: int) -> dict[str, Scalar]:
    """What became of the run."""
    place = result.allocation
    hosts = place.hosts[:nodes] if place else []
    return {
        "attempt": result.attempt,
        "started": result.started,
        "elapsed_s": result.seconds,
        "node_hours": nodes * result.seconds / 3600,
        "job": place.job if place else None,
        "switches": "; ".join(f"{host}: {place.switches.get(host, 'unknown')}" for host in hosts) if place else None,
    }


def measured(found: Measured, world: int) -> dict[str, Scalar]:
    """What a run on `world` ranks measured."""
    return {
        **_speed(found, world),
        **_memory(found),
        **_utilisation(found),
        **_loss(found),
        **_saved(found),
        **_origin(found),
    }


def _speed(found: Measured, world: int) -> dict[str, Scalar]:
    window, startup = found.window, found.startup
    q1, median, q3 = window.step_s_quartiles
    return {
        "tokens_per_s": window.tokens_per_s,
        "tokens_per_s_per_device": window.tokens_per_s / world,
        "window_s": window.seconds,
        "window_tokens": window.tokens,
        "window_steps": window.steps,
        "window_first_step": window.first_step,
        "block_tokens_per_s_min": min(window.block_tokens_per_s, default=None),
        "block_tokens_per_s_max": max(window.block_tokens_per_s, default=None),
        "step_s_q1": q1,
        "step_s_median": median,
        "step_s_q3": q3,
        "aggregations": window.aggregations,
        "aggregation_s_median": window.aggregation_s_median,
        "tokens_per_step": found.tokens_per_step,
        "tokens_per_update": found.tokens_per_update,
        "trained_tokens": found.trained_tokens,
        "distinct_tokens": found.distinct_tokens,
        "startup_rendezvous_s": startup.rendezvous,
        "startup_model_s": startup.model,
        "startup_data_s": startup.data,
        "startup_first_step_s": startup.first_step,
    }


def _memory(found: Measured) -> dict[str, Scalar]:
    memory = found.memory
    return {
        "peak_memory_gib": _gib(memory.peak),
        "state_gib": _gib(memory.state),
        "averaging_buffers_gib": _gib(memory.averaging_buffers),
        "reserved_peak_gib": _gib(memory.reserved_peak),
        "device_used_peak_gib": _gib(memory.device_used_peak),
        "allocator_retries": memory.allocator_retries,
        "allocator_ooms": memory.allocator_ooms,
    }


def _utilisation(found: Measured) -> dict[str, Scalar]:
    use = found.utilisation
    return {
        "parameters": found.parameters,
        "flops_per_token": use.flops_per_token,
        "flops_per_token_causal": use.flops_per_token_causal,
        "peak_flops": use.peak_flops,
        "mfu": use.mfu,
        "mfu_causal": use.mfu_causal,
        "matmul_flops": use.matmul_flops,
        "matmul_fraction": use.matmul_fraction,
    }


def _loss(found: Measured) -> dict[str, Scalar]:
    loss = found.loss
    return {
        "loss_first": loss.first,
        "loss_final": loss.final,
        "loss_validation": loss.validation,
        "perplexity": loss.perplexity,
        "entropy_rate": loss.entropy_rate,
    }


def _saved(found: Measured) -> dict[str, Scalar]:
    saved = found.saved
    return {
        "saved_model_s": saved.model_s,
        "saved_model_gib": _gib(saved.model_bytes),
        "saved_checkpoint_s": saved.checkpoint_s,
        "saved_checkpoint_gib": _gib(saved.checkpoint_bytes),
    }


def _origin(found: Measured) -> dict[str, Scalar]:
    origin = found.provenance
    return {
        "python": origin.python,
        "packages": json.dumps(origin.packages, sort_keys=True),
        "commit": origin.commit,
        "dirty": origin.dirty,
        "xffl": origin.xffl,
        "image": origin.image,
        "hosts": ", ".join(origin.hosts),
        "cores": origin.cores,
        "devices": ", ".join(origin.devices),
        "seats": "; ".join(
            f"{seat.rank}: {seat.host} {seat.local_rank}, {seat.device}, cores {seat.cores}" for seat in origin.seats
        ),
        "threads": origin.threads,
        "environment": json.dumps(origin.environment, sort_keys=True),
    }
