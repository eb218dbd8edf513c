"""The matrix file: what a sweep is made of."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, get_args

from pydantic import Field, GetPydanticSchema, NonNegativeInt, PositiveInt, PrivateAttr

from bench.contract.base import AxisValue, Document, Regime
from bench.contract.layout import StrategyName, StrategySettings
from bench.contract.run import Limits, Wandb
from bench.contract.shapes import STOCK
from bench.contract.training import Training
from matrix.config.axes import ALL_AXES, SOME_AXES, AxisLists
from matrix.config.override import Override
from matrix.config.values import Labels, LocatedModel, Name, NamedModel, NamedStrategy, Value
from matrix.config.yamlfile import Location
from matrix.host.paths import absolute


class Data(Document):
    """Where the training's data lie."""

    path: str = Field(
        description="folder made by save_to_disk, relative to this file; `~` and environment variables are expanded"
    )


class Reference(Document):
    """The cell that speed-up and efficiency are held against."""

    strategy: str | None = Field(None, description="a strategy of the sweep (fsdp if it is one, else the first)")
    nodes: PositiveInt | None = Field(None, description="a node count of the sweep (the smallest)")


class Sweep(Document):
    """A matrix file: the product of the axes, less what is excluded, and what is included."""

    name: Name = Field(description="what the results folder is called")
    system: str = Field("local", description="path of a system file relative to this file, or a built-in system's name")
    axes: Annotated[AxisLists, GetPydanticSchema(lambda _, handler: handler(ALL_AXES))] = Field(
        description="lists of values; the sweep is their product"
    )
    exclude: list[dict[str, Labels]] = Field(
        default_factory=list, description="points to leave out: axis and value or values; all must match"
    )
    include: list[Annotated[AxisLists, GetPydanticSchema(lambda _, handler: handler(SOME_AXES))]] = Field(
        default_factory=list,
        description="points to add after the exclusions; values outside the axes' lists are allowed, and an axis that "
        "is not mentioned takes its whole list",
    )
    strategies: dict[StrategyName, StrategySettings] = Field(
        default_factory=dict, description="settings of the strategies that the axis gives by their plain name"
    )
    training: Training = Field(default=Training(), description="how every run trains")
    overrides: list[Override] = Field(
        default_factory=list, description="changes of `training` at some points; of several, the last one holds"
    )
    data: Data = Field(description="the data set")
    regime: Regime = Field("micro-batch", description="what batch_size counts: sequences per rank, or over the world")
    block: PositiveInt | None = Field(
        None, description="steps of a block (least common multiple of every `every` in the sweep)"
    )
    repeats: PositiveInt = Field(1, description="runs of each combination; 3 or more give intervals")
    seed: NonNegativeInt = Field(0, description="of the order of the runs")
    limits: Limits = Field(default=Limits(), description="when a run is given up")
    reference: Reference = Field(
        default=Reference(), description="the cell that speed-up and efficiency are held against"
    )
    wandb: Wandb = Field(default=Wandb(), description="where runs are tracked besides the results folder")

    _found: dict[str, LocatedModel] = PrivateAttr(default_factory=dict)
    _folder: Path = PrivateAttr(default_factory=Path)

    def located(self, folder: Path, found: dict[str, LocatedModel]) -> None:
        """Keep the folder that paths are relative to, and the models that lie elsewhere."""
        self._folder = folder
        self._found = found

    @property
    def labels(self) -> dict[str, list[AxisValue]]:
        """Every axis with the names of its values, in the file's order."""
        return {**self.axes.labels, "cuda_streams": self.axes.labels.get("cuda_streams", [1])}

    @property
    def all_labels(self) -> dict[str, list[AxisValue]]:
        """The same with the names that only an include has, after the others."""
        labels = self.labels
        for lists in self.include:
            for axis, added in lists.labels.items():
                labels[axis] = list(dict.fromkeys([*labels.get(axis, []), *added]))
        return labels

    def _given(self) -> list[Value]:
        """Every value of every axis, wherever it stands."""
        return [value for lists in (self.axes, *self.include) for values in lists.values.values() for value in values]

    def placed_values(self) -> Iterator[tuple[Location, str, Value]]:
        """Every value of every axis: where it stands, its axis, and itself."""
        places: list[tuple[Location, dict[str, list[Value]]]] = [(("axes",), self.axes.values)]
        places += [(("include", place), lists.values) for place, lists in enumerate(self.include)]
        for location, lists in places:
            for axis, values in lists.items():
                for place, value in enumerate(values):
                    yield (*location, axis, place), axis, value

    @property
    def _named_models(self) -> list[NamedModel]:
        return [value for value in self._given() if isinstance(value, NamedModel)]

    @property
    def model_names(self) -> list[str]:
        """Names of all models that have one."""
        return [*STOCK, *(model.name for model in self._named_models)]

    @property
    def models(self) -> dict[str, LocatedModel]:
        """All models that have a name; those that lie elsewhere once they are found."""
        shapes = STOCK | {model.name: model.shape for model in self._named_models if model.has_shape}
        return {name: LocatedModel(shape) for name, shape in shapes.items()} | self._found

    @property
    def found_models(self) -> dict[str, str]:
        """Shape and weights of the models that lie elsewhere, by name, and each file of weights by name/file."""
        found = {}
        for name, model in self._found.items():
            found[name] = f"{model.shape.model_dump_json()} {model.weights}"
            found |= {f"{name}/{file}": fingerprint for file, fingerprint in model.files}
        return found

    @property
    def strategy_settings(self) -> dict[str, tuple[StrategyName, StrategySettings]]:
        """Kind and settings of all strategies that have a name."""
        plain = {str(kind): (kind, self.strategies.get(kind, StrategySettings())) for kind in get_args(StrategyName)}
        return plain | {
            value.name: (value.kind, value.settings) for value in self._given() if isinstance(value, NamedStrategy)
        }

    @property
    def intervals(self) -> set[int]:
        """Every interval of federated averaging in the sweep."""
        names = {str(name) for lists in (self.axes, *self.include) for name in lists.labels.get("strategy", [])}
        return {
            settings.every for name, (_, settings) in self.strategy_settings.items() if name in names and settings.every
        }

    def uses(self, setting: str) -> bool:
        """Whether a setting of `training` is given anywhere."""
        given = {setting} & {*self.training.model_fields_set, *self.all_labels}
        return bool(given) or any(setting in override.changes for override in self.overrides)

    def absolute(self, path: str) -> str:
        """A path as the file gives it, from the file's folder, with `~` and environment variables expanded."""
        return absolute(self._folder, path)

    @property
    def block_steps(self) -> int:
        """Steps of a block."""
        return self.block or math.lcm(*self.intervals)
