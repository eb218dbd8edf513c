"""Settings without effect on a run: planning resets them, and runs that differ only in them are comparable."""

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


def unused(training: Training, shape: Shape, layout: Layout) -> set[str]:
    """Return the settings of a training without effect on such a model in such a layout."""
    return {name for rule in RULES if rule.unused(shape, layout, training) for name in rule.settings}
