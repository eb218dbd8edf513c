"""Models that lie elsewhere, in a folder or on the hub: their shapes, and where their weights are."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from bench.contract.weightfiles import weight_files
from matrix.config.models.config_json import read_shape
from matrix.config.models.hub import snapshot
from matrix.config.sweep import Sweep
from matrix.config.validation import Fault
from matrix.config.values import LocatedModel, NamedModel
from matrix.errors import InputError

CONFIG = "config.json"
LONGEST_HEADER = 100_000_000
"""Bytes of a header that the safetensors library accepts; a file that claims more is none."""


def find_models(sweep: Sweep, folder: Path) -> tuple[dict[str, LocatedModel], list[Fault]]:
    """The sweep's models with a `path` (relative to `folder`) or a `hub`, by name, and all that is wrong with them."""
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
        raise InputError(f"there is no {config}: name a folder with a {CONFIG}, or such a file")
    shape = read_shape(config)
    if not model.weights:
        return LocatedModel(shape)
    try:
        files = weight_files(config.parent)
        if model.hub is not None:  # the folder is a commit's, and does not change
            return LocatedModel(shape, str(config.parent))
        fingerprints = tuple((file.relative_to(config.parent).as_posix(), _fingerprint(file)) for file in files)
    except (OSError, ValueError) as error:
        raise InputError(str(error)) from error
    return LocatedModel(shape, str(config.parent), fingerprints)


def _fingerprint(file: Path) -> str:
    """Size, time of the last change in whole seconds, and SHA-256 of a safetensors file's header.

    The values are not read: a model may have hundreds of gigabytes, and planning answers at once.
    """
    with file.open("rb") as content:
        length = int.from_bytes(content.read(8), "little")  # a safetensors file begins with its header's length
        header = hashlib.sha256(content.read(min(length, LONGEST_HEADER))).hexdigest()
    status = file.stat()
    return f"{status.st_size} bytes, changed {int(status.st_mtime)}, header {header}"
