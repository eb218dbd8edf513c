"""What the xFFL library cannot train as a run asks for it: such points are impossible, and the plan says why.

Each of these was seen at the commit that pyproject.toml names; docs/guides/xffl.md tells how.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.contract.layout import Layout
from bench.contract.training import Training


@dataclass(frozen=True)
class Limit:
    """When a run asks for something, and what the library does instead, to be read after its name."""

    asked: Callable[[Training, Layout], bool]
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
        lambda training, _: training.log_level == "debug",
        "waits for the device several times a step when it logs at this level: choose info",
    ),
)


def unsupported(training: Training, layout: Layout) -> str:
    """Why the library cannot train this, to be read after its name; empty where it can."""
    return next((limit.reason for limit in LIMITS if limit.asked(training, layout)), "")
