"""Settings that the xFFL library does not support: such combinations are impossible, and the plan gives the reason.

Each limit was observed at the commit in containers/xffl.txt; docs/guides/xffl.md describes how.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.contract.layout import Layout
from bench.contract.training import Training


@dataclass(frozen=True)
class Limit:
    """A condition on a run, and what the library does instead, to follow its name."""

    applies: Callable[[Training, Layout], bool]
    reason: str


LIMITS = (
    Limit(
        lambda _, layout: layout.world == 1, "trains one rank by itself without FSDP, in a precision of its own choice"
    ),
    Limit(
        lambda _, layout: layout.shard == 1 and layout.replicate > 1,
        "has no replicas of an unsharded model (ddp): choose a shard group of two ranks or more",
    ),
    Limit(
        lambda training, _: training.accumulation > 1,
        "zeroes the gradients after every micro-batch, so that only the last one counts: choose accumulation 1",
    ),
    Limit(
        lambda training, _: training.activation_checkpointing == "selective",
        "recomputes all decoder layers or none: choose full or none",
    ),
    Limit(lambda training, _: training.compile, "does not compile: choose compile false"),
    Limit(
        lambda training, _: not training.reshard_after_forward,
        "always frees gathered parameters after the forward pass: choose reshard_after_forward true",
    ),
    Limit(lambda training, _: training.prefetch > 0, "gathers nothing ahead: choose prefetch 0"),
    Limit(
        lambda training, _: training.save_model or training.save_checkpoint or training.start_from is not None,
        "saves after an epoch, inside what is timed, and fails at it on several CPU ranks: let the native engine save",
    ),
    Limit(
        lambda training, _: training.validate_every > 0,
        "trains without a pause in which to validate: choose validate_every 0",
    ),
    Limit(
        lambda training, _: training.log_level == "debug",
        "waits for the device several times a step when it logs at this level: choose info",
    ),
)


def unsupported(training: Training, layout: Layout) -> str:
    """Return why the library cannot train this, to follow its name, or "" if it can."""
    return next((limit.reason for limit in LIMITS if limit.applies(training, layout)), "")
