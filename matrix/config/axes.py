"""The axes of a matrix: its own axes, and every field of `training` by name."""

from __future__ import annotations

from types import UnionType
from typing import Annotated, Any, Self, Union, get_args, get_origin

from pydantic import ModelWrapValidatorHandler, PositiveInt, PrivateAttr, create_model, model_validator
from pydantic.fields import Field, FieldInfo

from bench.contract.base import AxisValue, Document, EngineName, LauncherName
from bench.contract.training import Training
from matrix.config.values import ModelValue, OneOrMore, StrategyValue, Value, label


class AxisLists(Document):
    """Lists of values by axis, in the order of the file."""

    _order: tuple[str, ...] = PrivateAttr(())

    @model_validator(mode="wrap")
    @classmethod
    def _remember_order(cls, data: object, handler: ModelWrapValidatorHandler[Self]) -> Self:
        axes = handler(data)
        if isinstance(data, dict):
            axes._order = tuple(data)
        return axes

    @property
    def values(self) -> dict[str, list[Value]]:
        """The values of every given axis."""
        return {axis: getattr(self, axis) for axis in self._order}

    @property
    def labels(self) -> dict[str, list[AxisValue]]:
        """The names of those values."""
        return {axis: [label(value) for value in values] for axis, values in self.values.items()}


def _without_none(annotation: Any) -> Any:  # noqa: ANN401
    """Return the type without None: every value of an axis needs a name, and None has none."""
    if get_origin(annotation) not in (Union, UnionType):
        return annotation
    return Union[tuple(member for member in get_args(annotation) if member is not type(None))]  # noqa: UP007


def _list_of(field: FieldInfo) -> Any:  # noqa: ANN401
    value = _without_none(field.annotation)
    # Built at run time from the setting's type, so that an axis accepts what the setting accepts; mypy cannot follow.
    return OneOrMore[Annotated[(value, *field.metadata)] if field.metadata else value]  # type: ignore[misc]


_OWN: dict[str, tuple[Any, str]] = {
    "model": (OneOrMore[ModelValue], "names of built-in models, or named mappings"),
    "strategy": (OneOrMore[StrategyValue], "names of strategies, or named mappings with their own settings"),
    "nodes": (OneOrMore[PositiveInt], "node counts"),
    "batch_size": (
        OneOrMore[PositiveInt],
        "sequences per rank and micro-batch; per step over all ranks with `regime: global-batch`; the first to try "
        "with `regime: max-batch`",
    ),
    "cuda_streams": (OneOrMore[PositiveInt], "concurrent communicators for federated averaging (1)"),
    "engine": (OneOrMore[EngineName], "training engine: the harness itself, or the xFFL library (native)"),
    "launcher": (OneOrMore[LauncherName], "program that starts the ranks (the system file's launcher)"),
}
_FROM_TRAINING = {
    name: (_list_of(field), f"training.{name} as an axis: {field.description}")
    for name, field in Training.model_fields.items()
}

_optional: dict[str, Any] = {
    name: (kind, Field(None, description=text)) for name, (kind, text) in (_OWN | _FROM_TRAINING).items()
}
_NEEDED = ("model", "strategy", "nodes", "batch_size")
_required: dict[str, Any] = {name: (_OWN[name][0], Field(description=_OWN[name][1])) for name in _NEEDED}

SOME_AXES: type[AxisLists] = create_model("SomeAxes", __base__=AxisLists, **_optional)
"""Any subset of the axes, as in an `include`."""

ALL_AXES: type[AxisLists] = create_model("Axes", __base__=SOME_AXES, **_required)
"""The axes of a sweep; four are required."""
