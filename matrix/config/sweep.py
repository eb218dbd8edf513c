"""The schema of the matrix file, which defines a sweep."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, get_args

from pydantic import ConfigDict, Field, GetPydanticSchema, NonNegativeInt, PositiveFloat, PositiveInt, PrivateAttr

from bench.contract.base import AxisValue, Document, Regime
from bench.contract.layout import StrategyName, StrategySettings
from bench.contract.run import Limits, Wandb
from bench.contract.shapes import STOCK
from bench.contract.training import Training
from matrix.config.axes import ALL_AXES, SOME_AXES, AxisLists
from matrix.config.override import Override
from matrix.config.reading.yamlfile import Location
from matrix.config.values import Labels, LocatedModel, Name, NamedModel, NamedStrategy, OneOrMore, Value
from matrix.host.paths import absolute

LARGEST_SWEEP = 1_000_000
"""Most combinations of a matrix file before its exclusions, and most runs of a plan."""


class Data(Document):
    """The training data."""

    path: str = Field(
        description="folder of a data set, made by `xffl-bench data synthetic` or `xffl-bench data prepare`, or by "
        "save_to_disk of Hugging Face datasets (splits train and val, a column input_ids); relative to this file, `~` "
        "and environment variables are expanded"
    )


class MaxBatch(Document):
    """The search for the largest batch size that fits."""

    limit: PositiveInt = Field(256, description="most sequences per rank and micro-batch that are tried")


class ReferenceCell(Document):
    """The combination that ratios are relative to. Any further key is a compared axis, with one of its values."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, AxisValue] = Field(init=False)

    strategy: str | None = Field(None, description="a strategy of the sweep (fsdp if present, else the first)")
    nodes: PositiveInt | None = Field(None, description="a node count of the sweep (the smallest)")

    @property
    def labels(self) -> dict[str, AxisValue]:
        """The given axes with the names of their values."""
        return self.model_dump(exclude_none=True)


class MatrixFile(Document):
    """A matrix file: the product of the axes, minus exclusions, plus inclusions."""

    name: Name = Field(description="name of the sweep and of its results folder")
    system: str = Field("local", description="path of a system file relative to this file, or a built-in system's name")
    axes: Annotated[AxisLists, GetPydanticSchema(lambda _, handler: handler(ALL_AXES))] = Field(
        description="lists of values; the sweep is their product"
    )
    exclude: list[dict[str, Labels]] = Field(
        default_factory=list,
        description="combinations to leave out: axis and value or list of values; all must match",
    )
    include: list[Annotated[AxisLists, GetPydanticSchema(lambda _, handler: handler(SOME_AXES))]] = Field(
        default_factory=list,
        description="combinations to add after the exclusions; values outside the axes' lists are allowed, and an axis "
        "that is not mentioned takes its whole list",
    )
    strategies: dict[StrategyName, StrategySettings] = Field(
        default_factory=dict, description="settings of the strategies that the axis lists by plain name"
    )
    training: Training = Field(default=Training(), description="training settings of every run")
    overrides: list[Override] = Field(
        default_factory=list, description="changes of `training` for some combinations; the last match wins"
    )
    data: Data = Field(description="the data set")
    regime: Regime = Field(
        "micro-batch",
        description="what batch_size counts: sequences per rank and micro-batch, or per step over all ranks; with "
        "max-batch it is where the search for the largest micro-batch that fits in memory starts",
    )
    max_batch: MaxBatch = Field(default=MaxBatch(), description="the search, with `regime: max-batch`")
    block: PositiveInt | None = Field(
        None, description="optimizer steps per block (least common multiple of all values of `every` in the sweep)"
    )
    repeats: PositiveInt = Field(1, description="runs of each combination; confidence intervals need at least 3")
    breakdown: NonNegativeInt = Field(
        0,
        description="further runs of each combination that note the parts of a step and are never timed; the native "
        "engine only",
    )
    seed: NonNegativeInt = Field(0, description="seed of the order of the runs")
    limits: Limits = Field(default=Limits(), description="time limits after which a run is ended")
    compare: OneOrMore[str] = Field(
        default_factory=list,
        description="axes whose values are the rows of a table (strategy; if there is only one, all other axes with "
        "several values, but for those of `best_of`)",
    )
    best_of: OneOrMore[str] = Field(
        default_factory=list,
        description="axes that a user would tune: a further table compares rows each with its fastest values of these",
    )
    reference: ReferenceCell = Field(
        default=ReferenceCell(), description="the combination that ratios are relative to: see below"
    )
    target_loss: PositiveFloat | None = Field(
        None,
        description="loss in nats per token until which time, tokens and node-hours are reported (the highest final "
        "loss of the reference's repeats on the same nodes)",
    )
    wandb: Wandb = Field(default=Wandb(), description="tracking of runs by Weights & Biases")

    _found: dict[str, LocatedModel] = PrivateAttr(default_factory=dict)
    _folder: Path = PrivateAttr(default_factory=Path)
    _source: str = PrivateAttr("")

    def located(self, folder: Path, found: dict[str, LocatedModel], source: str) -> None:
        """Keep the folder that paths are relative to, the models found outside this file, by name, and its text."""
        self._folder = folder
        self._found = found
        self._source = source

    @property
    def source(self) -> str:
        """Text of the file as it was read; a second reading could give another."""
        return self._source

    @property
    def labels(self) -> dict[str, list[AxisValue]]:
        """Every axis with the names of its values, in the order of the file."""
        return {**self.axes.labels, "cuda_streams": self.axes.labels.get("cuda_streams", [1])}

    @property
    def all_labels(self) -> dict[str, list[AxisValue]]:
        """As `labels`, followed by names that occur only in an include."""
        labels = self.labels
        for lists in self.include:
            for axis, added in lists.labels.items():
                labels[axis] = list(dict.fromkeys([*labels.get(axis, []), *added]))
        return labels

    @property
    def combinations(self) -> int:
        """Number of combinations before exclusions, each include's added."""
        products = [self.labels, *({**self.labels, **lists.labels} for lists in self.include)]
        return sum(math.prod(map(len, axes.values())) for axes in products)

    @property
    def compared(self) -> list[str]:
        """The axes whose values are the rows of a table: never nodes, which are its columns, nor the model."""
        if self.compare:
            return list(self.compare)
        several = [axis for axis, values in self.all_labels.items() if len(values) > 1]
        if "strategy" in several:
            return ["strategy"]
        others = {"model", "nodes", "cuda_streams", *self.best_of}
        return [axis for axis in several if axis not in others] or ["strategy"]

    def _given(self) -> list[Value]:
        """Return every value of every axis, in the axes and the includes."""
        return [value for lists in (self.axes, *self.include) for values in lists.values.values() for value in values]

    def placed_values(self) -> Iterator[tuple[Location, str, Value]]:
        """Yield the location, axis and value of every value of every axis."""
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
        """The names of all models, built in and defined here."""
        return [*STOCK, *(model.name for model in self._named_models)]

    @property
    def models(self) -> dict[str, LocatedModel]:
        """All models by name; those outside this file only after `located`."""
        shapes = STOCK | {model.name: model.shape for model in self._named_models if model.has_shape}
        return {name: LocatedModel(shape) for name, shape in shapes.items()} | self._found

    @property
    def found_models(self) -> dict[str, str]:
        """Shape and weights of the models outside this file by name, and weight files by name/file."""
        found = {}
        for name, model in self._found.items():
            found[name] = f"{model.shape.model_dump_json()} {model.weights}"
            found |= {f"{name}/{file}": fingerprint for file, fingerprint in model.files}
        return found

    @property
    def strategy_settings(self) -> dict[str, tuple[StrategyName, StrategySettings]]:
        """Kind and settings of all strategies by name."""
        plain = {str(kind): (kind, self.strategies.get(kind, StrategySettings())) for kind in get_args(StrategyName)}
        return plain | {
            value.name: (value.kind, value.settings) for value in self._given() if isinstance(value, NamedStrategy)
        }

    @property
    def intervals(self) -> set[int]:
        """All intervals of federated averaging in the sweep, in optimizer steps."""
        names = {str(name) for lists in (self.axes, *self.include) for name in lists.labels.get("strategy", [])}
        return {
            settings.every for name, (_, settings) in self.strategy_settings.items() if name in names and settings.every
        }

    def uses(self, setting: str) -> bool:
        """Return True if a setting of `training` is given anywhere."""
        given = {setting} & {*self.training.model_fields_set, *self.all_labels}
        return bool(given) or any(setting in override.changes for override in self.overrides)

    def absolute(self, path: str) -> str:
        """Make a path of the file absolute: relative to the file's folder, `~` and environment variables expanded."""
        return absolute(self._folder, path)

    @property
    def block_steps(self) -> int:
        """Optimizer steps per block."""
        return self.block or math.lcm(*self.intervals)
