"""Values of the axes: names, named mappings, and lists of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Self, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    Tag,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from bench.contract.base import AxisValue, Document
from bench.contract.layout import USED_SETTINGS, StrategyName, StrategySettings
from bench.contract.shapes import STOCK, Architecture, Shape
from matrix.errors import as_text

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,59}$"

Name = Annotated[str, Field(pattern=NAME_PATTERN)]
"""A name that is valid as part of a file name."""

T = TypeVar("T")


def _inlined(place: Any, definitions: dict[str, Any]) -> Any:  # noqa: ANN401
    """Return a JSON Schema with references replaced by their definitions, so that it can be nested in another."""
    if isinstance(place, list):
        return [_inlined(item, definitions) for item in place]
    if not isinstance(place, dict):
        return place
    if "$ref" in place:
        return _inlined(definitions[place["$ref"].rpartition("/")[2]], definitions)
    return {key: _inlined(value, definitions) for key, value in place.items()}


@dataclass(frozen=True)
class _ShapeOf:
    """A shape whose architecture is given by its key."""

    architecture: Architecture

    def __get_pydantic_core_schema__(self, source: type[Shape], handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._with_architecture, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = Shape.model_json_schema()
        whole: dict[str, Any] = _inlined(schema, schema.pop("$defs"))
        properties = {key: value for key, value in whole["properties"].items() if key != "architecture"}
        return whole | {
            "properties": properties,
            "required": [key for key in whole["required"] if key != "architecture"],
            "description": f"shape of a {self.architecture} model",
        }

    def _with_architecture(self, value: object) -> object:
        if not isinstance(value, dict):
            return value
        if "architecture" in value:
            raise ValueError(f"'architecture' is already given by the key {self.architecture!r}: remove it")
        return {"architecture": self.architecture, **value}


@dataclass(frozen=True)
class LocatedModel:
    """What a run needs to know about a model.

    Attributes:
        weights: folder of safetensors files; None to initialise weights from the seed.
        files: name and fingerprint of each weight file, unless the folder's name already fixes its content.

    """

    shape: Shape
    weights: str | None = None
    files: tuple[tuple[str, str], ...] = ()


class NamedModel(Document):
    """A model given by its shape or its location.

    For example `{name: llama-60m, llama: {hidden_size: 512, ...}}` or `{name: mine, path: models/mine, weights: true}`.
    """

    name: Name = Field(description="name of the model in tables")
    llama: Annotated[Shape, _ShapeOf("llama")] | None = Field(None, description="shape of a Llama (dense)")
    mixtral: Annotated[Shape, _ShapeOf("mixtral")] | None = Field(None, description="shape of a Mixtral (experts)")
    path: str | None = Field(
        None,
        description="folder with a config.json of a Llama or Mixtral, or that file; relative to this file, `~` and "
        "environment variables are expanded",
    )
    hub: str | None = Field(None, description="repository of the Hugging Face hub, in its local cache")
    revision: str = Field("main", description="branch, tag or commit of the hub repository")
    online: bool = Field(False, description="while planning, download what is missing in the cache")
    weights: bool = Field(
        False,
        description="start from the safetensors files of the folder or repository instead of weights initialised from "
        "the seed",
    )

    @model_validator(mode="after")
    def _one_model(self) -> Self:
        if sum(given is not None for given in (self.llama, self.mixtral, self.path, self.hub)) != 1:
            raise ValueError("should have one of the keys 'llama' and 'mixtral' (a shape), 'path' and 'hub'")
        unused = [] if self.hub else ["revision", "online"]
        unused += ["weights"] if self.has_shape else []
        for key in unused:
            if key in self.model_fields_set:
                raise ValueError(f"does not use {key!r} without {'a path or ' if key == 'weights' else ''}a hub")
        return self

    @property
    def has_shape(self) -> bool:
        """True if the shape is given here and not by a file or repository."""
        return self.llama is not None or self.mixtral is not None

    @property
    def shape(self) -> Shape:
        """The given shape; only if `has_shape`."""
        shape = self.llama or self.mixtral
        assert shape is not None
        return shape


class NamedStrategy(Document):
    """A strategy with its own settings: `{name: fed-h32, federated: {groups: 2, every: 32}}`."""

    name: Name = Field(description="name of the strategy in tables")
    fsdp: StrategySettings | None = Field(None, description="settings of fsdp (it has none: `{}`)")
    ddp: StrategySettings | None = Field(None, description="settings of ddp (it has none: `{}`)")
    hsdp: StrategySettings | None = Field(None, description="settings of hsdp: shard")
    federated: StrategySettings | None = Field(None, description="settings of federated: group or groups, every")
    federated_hsdp: StrategySettings | None = Field(
        None, alias="federated-hsdp", description="settings of federated-hsdp: group or groups, shard, every"
    )

    @model_validator(mode="after")
    def _one_strategy(self) -> Self:
        if len(self._given()) != 1:
            raise ValueError(f"should have settings under one of the keys {', '.join(USED_SETTINGS)}")
        return self

    def _given(self) -> list[tuple[StrategyName, StrategySettings]]:
        every = {kind: getattr(self, kind.replace("-", "_")) for kind in get_args(StrategyName)}
        return [(kind, settings) for kind, settings in every.items() if settings is not None]

    @property
    def kind(self) -> StrategyName:
        """The kind of the strategy."""
        return self._given()[0][0]

    @property
    def settings(self) -> StrategySettings:
        """The settings of the strategy."""
        return self._given()[0][1]


def _form(value: object) -> str:
    # The forms are in brackets so that no key of a file can be mistaken for one in the location of an error.
    return "(mapping)" if isinstance(value, dict | Document) else "(name)"


ModelValue = Annotated[
    Annotated[str, Field(examples=list(STOCK)), Tag("(name)")] | Annotated[NamedModel, Tag("(mapping)")],
    Discriminator(_form),
]
StrategyValue = Annotated[
    Annotated[str, Field(examples=list(USED_SETTINGS)), Tag("(name)")] | Annotated[NamedStrategy, Tag("(mapping)")],
    Discriminator(_form),
]
Value = AxisValue | NamedModel | NamedStrategy


def label(value: Value) -> AxisValue:
    """Return the name of a value in tables and filters."""
    return value.name if isinstance(value, NamedModel | NamedStrategy) else value


class _ScalarAllowed:
    """Let the exported schema accept a single value in place of a list of one, and no value twice."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        array = handler(core)
        return {"anyOf": [array["items"], {**array, "uniqueItems": True}]}


def _as_list(value: object) -> object:
    return value if isinstance(value, list) else [value]


def _distinct(values: list[Any]) -> list[Any]:
    seen = set()
    for name in map(label, values):
        if name in seen:
            raise ValueError(f"lists {as_text(name)} twice: keep one of them")
        seen.add(name)
    return values


OneOrMore = Annotated[
    list[T], Field(min_length=1), BeforeValidator(_as_list), AfterValidator(_distinct), _ScalarAllowed()
]
"""A list of distinct values; a single value is a list of one."""


def _scalar(value: object) -> object:
    if not isinstance(value, bool | int | float | str):
        raise ValueError("should be the name of a value or a number")
    return value


Labels = OneOrMore[Annotated[AxisValue, BeforeValidator(_scalar)]]
"""Names of values of one axis."""
