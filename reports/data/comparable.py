"""Which attributes must agree for runs to be comparable, and which differ.

Attributes are dotted paths into `Run` and `Measured`; those of a mapping (packages, environment) are
compared key by key.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from operator import attrgetter
from typing import Any, Literal

from bench.contract.results.measured import Measured
from bench.contract.run import Run
from bench.contract.shapes import Shape
from bench.contract.training import Training
from bench.contract.unused import unused
from reports.data.words import shown

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
    "system.memory_per_rank",
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
    "provenance.driver",
    "provenance.environment",
)

ATTRIBUTES: dict[Kind, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "across-strategies": ((*_OF_RUN, "nodes"), (*_OF_MEASURED, "tokens_per_step")),
    "across-nodes": (_OF_RUN, _OF_MEASURED),
    "losses": ((*_OF_RUN, "nodes"), (*_OF_MEASURED, "tokens_per_step", "trained_tokens")),
}
"""(paths into Run, paths into Measured) for each kind. Across node counts, the nodes and the tokens per step, which
follow from the regime, may differ; the number of steps may not (`epochs` derives another one for each). On the same
nodes, too, the tokens per step may differ in the regime max-batch, which finds the batch size of each combination."""

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

_IMPLIED: dict[str, tuple[str, ...]] = {"batch_size": ("val_batch_size",), "precision": ("reduce_dtype",)}
"""Settings of training that a plan leaves at None where they say what the value of an axis says already."""

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
    rules, compared = _rules(kind, tuple(axes)), list(compared)
    if rules.agree(compared):
        return []
    rows = [rules.values(run, measured) for run, measured in compared]
    without_effect = [unused(run.training, run.shape, run.layout) for run, _ in compared]
    found = []
    for name, values in zip(rules.names, map(list, zip(*rows, strict=True)), strict=True):
        if all(value == values[0] for value in values[1:]) or (name in rules.implied and None in values):
            continue
        setting = name.removeprefix("training.")
        used = [value for value, names in zip(values, without_effect, strict=True) if setting not in names]
        found += [text for text in _named(name, used) if text.split(": ")[0] not in rules.excused]
    return found


@dataclass(frozen=True)
class _Rules:
    """What must agree between cells that differ in given axes.

    Attributes:
        excused: attributes that may differ.
        implied: attributes that are None where the value of an axis says the same.

    """

    of_run: tuple[str, ...]
    of_measured: tuple[str, ...]
    excused: frozenset[str]
    implied: frozenset[str]

    @property
    def names(self) -> tuple[str, ...]:
        """Attributes that are compared."""
        return self.of_run + self.of_measured

    @cached_property
    def _getters(self) -> tuple[attrgetter[tuple[object, ...]], attrgetter[tuple[object, ...]]]:
        return attrgetter(*self.of_run), attrgetter(*self.of_measured)

    @cached_property
    def _sets(self) -> list[int]:
        return [self.names.index(name) for name in _SETS if name in self.names]

    @cached_property
    def _whole(self) -> _Rules:
        """The same rules with the settings of training as one attribute."""
        outside = tuple(name for name in self.of_run if not name.startswith("training."))
        return replace(self, of_run=("training", *outside))

    def agree(self, compared: Sequence[tuple[Run, Measured]]) -> bool:
        """Return True if no attribute differs; nearly all cells have their settings in common, often as one object."""
        for rules in (self._whole, self):
            rows = (rules.values(run, measured) for run, measured in compared)
            first = next(rows)
            if all(row == first for row in rows):
                return True
        return False

    def values(self, run: Run, measured: Measured) -> list[object]:
        """Return the values of the compared attributes."""
        get_asked, get_measured = self._getters
        row: list[Any] = [*get_asked(run), *get_measured(measured)]
        for index in self._sets:
            row[index] = sorted(set(row[index]))
        return row


@cache
def _rules(kind: Kind, axes: tuple[str, ...]) -> _Rules:
    excused = _may_differ(axes, kind)
    of_run, of_measured = (tuple(name for name in names if name not in excused) for names in ATTRIBUTES[kind])
    implied = frozenset(f"training.{name}" for axis in axes for name in _IMPLIED.get(axis, ()))
    return _Rules(of_run, of_measured, excused, implied)


def _named(name: str, values: list[object]) -> list[str]:
    """Return the differences in one attribute, of a mapping those in each of its keys."""
    if all(value == values[0] for value in values[1:]):
        return []
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
    return shown(value)
