"""Models that lie elsewhere, in a folder or on the hub: their shapes, and where their weights are."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.shapes import Shape
from bench.weightfiles import weight_files
from matrix.crosscheck import placed_values
from matrix.errors import InputError
from matrix.hub import snapshot
from matrix.modelconfig import read_shape
from matrix.validation import Fault
from matrix.values import NamedModel

if TYPE_CHECKING:
    from matrix.sweep import Sweep

CONFIG = "config.json"


@dataclass(frozen=True)
class Model:
    """What a run needs to know of a model: `weights` is a folder of safetensors, None where they are made anew."""

    shape: Shape
    weights: str | None = None


def find_models(sweep: Sweep, folder: Path) -> tuple[dict[str, Model], list[Fault]]:
    """The sweep's models with a `path` (relative to `folder`) or a `hub`, by name, and all that is wrong with them."""
    found: dict[str, Model] = {}
    faults: list[Fault] = []
    for location, _, value in placed_values(sweep):
        if not isinstance(value, NamedModel) or value.has_shape or value.name in found:
            continue
        try:
            found[value.name] = _find(value, folder)
        except InputError as error:
            key = "path" if value.path is not None else "hub"
            faults += [((*location, key), sentence) for sentence in str(error).splitlines()]
    return found, faults


def _find(model: NamedModel, folder: Path) -> Model:
    if model.path is not None:
        path = Path(os.path.normpath(folder / Path(os.path.expandvars(model.path)).expanduser()))
    else:
        assert model.hub is not None
        path = snapshot(model.hub, model.revision, online=model.online, weights=model.weights)
    config = path / CONFIG if path.is_dir() else path
    if not config.is_file():
        raise InputError(f"there is no {config}: name a folder with a {CONFIG}, or such a file")
    shape = read_shape(config)
    if not model.weights:
        return Model(shape)
    try:
        weight_files(config.parent)
    except (FileNotFoundError, ValueError) as error:
        raise InputError(str(error)) from error
    return Model(shape, str(config.parent))
