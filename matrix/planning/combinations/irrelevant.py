"""Reset settings without effect to their defaults, so that combinations that differ only in them are one run."""

from __future__ import annotations

from bench.contract.layout import Layout
from bench.contract.shapes import Shape
from bench.contract.training import Training
from bench.contract.unused import RULES, unused

_REASONS = {"cuda_streams": RULES[0].reason} | {name: rule.reason for rule in RULES for name in rule.settings}


def reason(axis: str) -> str:
    """Return why two combinations that differ only on this axis are one run."""
    return f"{axis} {_REASONS.get(axis, 'makes no difference here')}"


def without_unused(training: Training, shape: Shape, layout: Layout, batch_size: int | None) -> Training:
    """Return the canonical form of a training: settings without effect reset to their defaults.

    `batch_size` is None if it is not known yet.
    """
    names = list(unused(training, shape, layout))
    if training.reduce_dtype == Training(precision=training.precision).reduction:
        names.append("reduce_dtype")
    if training.schedule_steps == training.steps and training.start_from is None:
        names.append("schedule_steps")
    if training.val_batch_size == batch_size:
        names.append("val_batch_size")
    return training.model_copy(update={name: Training.model_fields[name].default for name in names})
