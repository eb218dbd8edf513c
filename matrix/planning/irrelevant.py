"""Reset settings without effect to their defaults, so that combinations that differ only in them are one run.

Each rule has a condition, and the reason that a plan gives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.contract.layout import Layout
from bench.contract.shapes import Shape
from bench.contract.training import Training


@dataclass(frozen=True)
class Rule:
    """Settings, the condition under which they have no effect, and the reason, to follow the setting's name."""

    settings: tuple[str, ...]
    unused: Callable[[Shape, Layout, Training], bool]
    reason: str


RULES = (
    Rule(("federated_data",), lambda _, layout, __: layout.federation == 1, "is not used without a federation"),
    Rule(("experts",), lambda shape, _, __: not shape.experts, "is not used by a dense model"),
    Rule(
        ("checkpointed_layers",),
        lambda _, __, training: training.activation_checkpointing != "selective",
        "is used only by selective activation checkpointing",
    ),
    Rule(
        ("beta1", "beta2", "weight_decay", "adamw_kernels"),
        lambda _, __, training: training.optimizer == "sgd",
        "is not used by sgd",
    ),
    Rule(
        ("reshard_after_forward", "prefetch"),
        lambda _, layout, training: not training.is_sharded(layout),
        "is not used without sharding",
    ),
    Rule(
        ("reduce_dtype", "lr_scaling"),
        lambda _, layout, __: layout.group == 1,
        "is not used by a group of one rank",
    ),
)

_REASONS = {"cuda_streams": RULES[0].reason} | {name: rule.reason for rule in RULES for name in rule.settings}


def reason(axis: str) -> str:
    """Return why two combinations that differ only on this axis are one run."""
    return f"{axis} {_REASONS.get(axis, 'makes no difference here')}"


def without_unused(training: Training, shape: Shape, layout: Layout, batch_size: int | None) -> Training:
    """Return the canonical form of a training: settings without effect reset to their defaults.

    `batch_size` is None if it is not known yet.
    """
    names = [name for rule in RULES if rule.unused(shape, layout, training) for name in rule.settings]
    if training.reduce_dtype == Training(precision=training.precision).reduction:
        names.append("reduce_dtype")
    if training.schedule_steps == training.steps and training.start_from is None:
        names.append("schedule_steps")
    if training.val_batch_size == batch_size:
        names.append("val_batch_size")
    return training.model_copy(update={name: Training.model_fields[name].default for name in names})
