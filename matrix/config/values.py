"""Values of the axes: names, named mappings, and lists of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Self, TypeVar

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

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,59}$")]
"""A name that can be part of a file's name."""

T = TypeVar("T")


def _inlined(place: Any, definitions: dict[str, Any]) -> Any:  # noqa: ANN401
    """A JSON Schema with its definitions in the place of references to them, so that it can stand inside another."""
    if isinstance(place, list):
        return [_inlined(item, definitions) for item in place]
    if not isinstance(place, dict):
        return place
    if "$ref" in place:
        return _inlined(definitions[place["$ref"].rpartition("/")[2]], definitions)
    return {key: _inlined(value, definitions) for key, value in place.items()}


@dataclass(frozen=True)
class _ShapeOf:
    """A shape whose architecture is already said by the key that it stands under."""

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
            raise ValueError(f"'architecture' is already said by the key {self.architecture!r}: leave it out")
        return {"architecture": self.architecture, **value}


@dataclass(frozen=True)
class LocatedModel:
    """What a run needs to know of a model: `weights` is a folder of safetensors, None where they are made anew.

    `files` has a fingerprint of each weight file by its name, where the folder's name does not fix what is in it.
    """

    shape: Shape
    weights: str | None = None
    files: tuple[tuple[str, str], ...] = ()


class NamedModel(Document):
    """A model by its shape, `{name: llama-60m, llama: {hidden_size: 512, ...}}`, or by where it is:
    `{name: mine, path: models/mine, weights: true}`.
    """

    name: Name = Field(description="what tables call the model")
    llama: Annotated[Shape, _ShapeOf("llama")] | None = Field(None, description="shape of a Llama (dense)")
    mixtral: Annotated[Shape, _ShapeOf("mixtral")] | None = Field(None, description="shape of a Mixtral (experts)")
    path: str | None = Field(
        None,
        description="folder with a config.json, or such a file, of a Llama or a Mixtral; relative to this file, `~` "
        "and environment variables are expanded",
    )
    hub: str | None = Field(None, description="repository of the Hugging Face hub, in its local cache")
    revision: str = Field("main", description="branch, tag or commit of the hub's repository")
    online: bool = Field(False, description="download what the cache lacks, while planning")
    weights: bool = Field(
        False, description="start from the folder's or repository's safetensors, in place of weights made from the seed"
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
        """Whether the shape stands here, and not in a file elsewhere."""
        return self.llama is not None or self.mixtral is not None

    @property
    def shape(self) -> Shape:
        """The shape that is given; only where `has_shape`."""
        shape = self.llama or self.mixtral
        assert shape is not None
        return shape


class NamedStrategy(Document):
    """A strategy with settings of its own: `{name: fed-h32, federated: {groups: 2, every: 32}}`."""

    name: Name = Field(description="what tables call the strategy")
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
        every: list[tuple[StrategyName, StrategySettings | None]] = [
            ("fsdp", self.fsdp),
            ("ddp", self.ddp),
            ("hsdp", self.hsdp),
            ("federated", self.federated),
            ("federated-hsdp", self.federated_hsdp),
        ]
        return [(kind, settings) for kind, settings in every if settings is not None]

    @property
    def kind(self) -> StrategyName:
        """Which strategy it is."""
        return self._given()[0][0]

    @property
    def settings(self) -> StrategySettings:
        """Its settings."""
        return self._given()[0][1]


def _form(value: object) -> str:
    # The forms stand in brackets so that no key of a file can be taken for one in the place of an error.
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
    """What tables and filters call a value of an axis."""
    return value.name if isinstance(value, NamedModel | NamedStrategy) else value


class _ScalarAllowed:
    """In the exported schema: a value may stand for a list of one."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        array = handler(core)
        return {"anyOf": [array["items"], array]}


def _as_list(value: object) -> object:
    return value if isinstance(value, list) else [value]


def _distinct(values: list[Any]) -> list[Any]:
    labels = [label(value) for value in values]
    for place, name in enumerate(labels):
        if name in labels[:place]:
            raise ValueError(f"lists {as_text(name)} twice: keep one of them")
    return values


OneOrMore = Annotated[
    list[T], Field(min_length=1), BeforeValidator(_as_list), AfterValidator(_distinct), _ScalarAllowed()
]
"""A list of distinct values; a single value is a list of one."""


def _scalar(value: object) -> object:
    if not isinstance(value, bool | int | float | str):
        raise ValueError("should be the name of a value, or a number")
    return value


Labels = OneOrMore[Annotated[AxisValue, BeforeValidator(_scalar)]]
"""Names of values of an axis."""
