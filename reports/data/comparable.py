"""Which attributes must agree for runs to be comparable, and which differ.

Attributes are dotted paths into `Run` and `Measured`; those of a mapping (packages, environment) are
compared key by key.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import Literal

from bench.contract.measured import Measured
from bench.contract.run import Run
from bench.contract.shapes import Shape
from bench.contract.training import Training

Kind = Literal["across-strategies", "across-nodes", "losses"]
"""Cells on the same nodes; cells on different nodes, of one strategy or of two; losses on the same nodes."""

_OUTSIDE_THE_WINDOW = {"epochs", "preload", "save_model", "save_checkpoint"}
"""Settings of training without effect on the measurement (`epochs` is redundant with `steps`)."""

_OF_RUN = (
    "shape",
    "weights",
    *(f"training.{name}" for name in Training.model_fields if name not in _OUTSIDE_THE_WINDOW),
    "data",
    "block",
    "regime",
    "ranks_per_node",
    "engine",
    "launcher",
    "system.device",
    "system.threads_per_rank",
    "system.environment",
    "system.affinity",
)
_OF_MEASURED = (
    "provenance.python",
    "provenance.packages",
    "provenance.commit",
    "provenance.diff",
    "provenance.xffl",
    "provenance.image",
    "provenance.threads",
    "provenance.cores",
    "provenance.cpu_model",
    "provenance.devices",
    "provenance.environment",
)

ATTRIBUTES: dict[Kind, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "across-strategies": ((*_OF_RUN, "nodes"), (*_OF_MEASURED, "tokens_per_step")),
    "across-nodes": (_OF_RUN, _OF_MEASURED),
    "losses": ((*_OF_RUN, "nodes"), (*_OF_MEASURED, "tokens_per_step", "trained_tokens")),
}
"""(paths into Run, paths into Measured) for each kind. Across node counts, the nodes and the tokens per step, which
follow from the regime, may differ; the number of steps may not (`epochs` derives another one for each)."""

_FOLLOWS: dict[str, tuple[str, ...]] = {
    "batch_size": ("tokens_per_step",),
    "sequence_length": ("training.sequence_length", "tokens_per_step"),
    "accumulation": ("training.accumulation", "tokens_per_step"),
    "engine": ("engine", "provenance.xffl"),
    "launcher": (
        "launcher",
        "provenance.environment.GLOO_SOCKET_IFNAME",
        "provenance.environment.NCCL_SOCKET_IFNAME",
    ),
    "deterministic": ("training.deterministic", "provenance.environment.CUBLAS_WORKSPACE_CONFIG"),
    "steps": ("training.steps", "training.schedule_steps"),
    "epochs": ("training.epochs", "training.steps", "training.schedule_steps"),
}
"""Attributes that follow from an axis, where it is not simply the setting of its name. Losses are compared at equal
tokens all the same."""

_UNUSED: dict[str, tuple[str, ...]] = {
    "activation_checkpointing": ("checkpointed_layers",),
    "optimizer": ("beta1", "beta2", "weight_decay", "adamw_kernels"),
    "batch_size": ("val_batch_size",),
    "precision": ("reduce_dtype",),
}
"""Settings of training that some values of an axis have no use for: a plan gives them their default there."""

_SETS = ("provenance.devices",)
"""Lists that agree if they have the same members, however many of each."""


def _may_differ(axes: Iterable[str], kind: Kind) -> frozenset[str]:
    """Return the attributes in which cells with different values of these axes differ on purpose."""
    follow = {attribute for axis in axes for attribute in _FOLLOWS.get(axis, (f"training.{axis}",))}
    return frozenset(follow - {"tokens_per_step"} if kind == "losses" else follow)


def differences(kind: Kind, compared: Iterable[tuple[Run, Measured]], axes: Iterable[str] = ()) -> list[str]:
    """Return the attributes in which runs differ, each with its values: `training.precision: bf16, fp32`.

    Those that follow from `axes`, in which the runs differ on purpose, may differ.
    """
    axes = tuple(axes)
    excused = _may_differ(axes, kind)
    of_run, of_measured = (tuple(name for name in names if name not in excused) for names in ATTRIBUTES[kind])
    names = of_run + of_measured
    get_asked, get_measured = attrgetter(*of_run), attrgetter(*of_measured)
    unused = {
        f"training.{name}": Training.model_fields[name].default for axis in axes for name in _UNUSED.get(axis, ())
    }
    rows = [list(get_asked(run) + get_measured(measured)) for run, measured in compared]
    if not rows:
        return []
    for index in [names.index(name) for name in _SETS if name in names]:
        for row in rows:
            row[index] = sorted(set(row[index]))
    found = []
    for index, name in enumerate(names):
        values = [row[index] for row in rows]
        if any(value != values[0] for value in values[1:]) and not (name in unused and unused[name] in values):
            found += [text for text in _named(name, values) if text.split(": ")[0] not in excused]
    return found


def _named(name: str, values: list[object]) -> list[str]:
    mappings = [_mapping(value) for value in values]
    keys = sorted({key for mapping in mappings for key in mapping})
    if not keys:
        return [f"{name}: {_listed(values)}"]
    return [
        f"{name}.{key}: {_listed(of_key)}"
        for key in keys
        if (of_key := [mapping.get(key, "unset") for mapping in mappings]) and any(v != of_key[0] for v in of_key[1:])
    ]


def _mapping(value: object) -> dict[str, object]:
    if isinstance(value, Shape):
        return value.model_dump()
    return value if isinstance(value, dict) else {}


def _listed(values: list[object]) -> str:
    return ", ".join(sorted({_text(value) for value in values}))


def _text(value: object) -> str:
    if isinstance(value, list):
        return " + ".join(str(part) for part in value)
    return str(value)
