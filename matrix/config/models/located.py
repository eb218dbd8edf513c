"""Find the models given by a folder or a hub repository: their shapes and the location of their weights."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from bench.contract.storage.weightfiles import weight_files
from matrix.config.models.config_json import read_shape
from matrix.config.models.hub import snapshot
from matrix.config.models.safetensors_header import read_header
from matrix.config.reading.validation import Fault
from matrix.config.sweep import MatrixFile
from matrix.config.values import LocatedModel, NamedModel
from matrix.errors import InputError

CONFIG = "config.json"


def find_models(sweep: MatrixFile, folder: Path) -> tuple[dict[str, LocatedModel], list[Fault]]:
    """Return the sweep's models with a `path` (relative to `folder`) or a `hub` by name, and the faults found."""
    found: dict[str, LocatedModel] = {}
    faults: list[Fault] = []
    for location, _, value in sweep.placed_values():
        if not isinstance(value, NamedModel) or value.has_shape or value.name in found:
            continue
        try:
            found[value.name] = _find(value, folder)
        except InputError as error:
            key = "path" if value.path is not None else "hub"
            faults += [((*location, key), sentence) for sentence in str(error).splitlines()]
    return found, faults


def _find(model: NamedModel, folder: Path) -> LocatedModel:
    if model.path is not None:
        path = Path(os.path.normpath(folder / Path(os.path.expandvars(model.path)).expanduser()))
    else:
        assert model.hub is not None
        path = snapshot(model.hub, model.revision, online=model.online, weights=model.weights)
    config = path / CONFIG if path.is_dir() else path
    if not config.is_file():
        raise InputError(f"{config} does not exist: give a folder with a {CONFIG}, or such a file")
    shape = read_shape(config)
    if not model.weights:
        return LocatedModel(shape)
    try:
        files = weight_files(config.parent)
        if model.hub is not None:  # the folder belongs to one commit and does not change
            for file in files:
                read_header(file)
            return LocatedModel(shape, str(config.parent))
        fingerprints = tuple((file.relative_to(config.parent).as_posix(), _fingerprint(file)) for file in files)
    except (OSError, ValueError) as error:
        raise InputError(str(error)) from error
    return LocatedModel(shape, str(config.parent), fingerprints)


def _fingerprint(file: Path) -> str:
    """Return size, modification time in whole seconds and SHA-256 of the header of a safetensors file.

    The tensors are not read: a model may take hundreds of gigabytes, and planning should be immediate.

    Raises:
        ValueError: the file is not a whole safetensors file.

    """
    header = hashlib.sha256(read_header(file)).hexdigest()
    status = file.stat()
    return f"{status.st_size} bytes, changed {int(status.st_mtime)}, header {header}"
