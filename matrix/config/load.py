"""Read a matrix file: validate its schema, check it across keys and find its models."""

from __future__ import annotations

from pathlib import Path

from matrix.config.credentials import secrets_in
from matrix.config.crosscheck import faults
from matrix.config.models.located import find_models
from matrix.config.sweep import Data, MatrixFile
from matrix.config.system import BUILT_IN, built_in_path
from matrix.config.validation import refuse, validate
from matrix.config.yamlfile import read_yaml
from matrix.host.paths import absolute


def load_sweep(path: Path) -> MatrixFile:
    """Read a matrix file and make its paths absolute.

    Raises:
        InputError: the file is invalid; one sentence per fault, with file, line, key and what would be valid.

    """
    file = read_yaml(path)
    refuse(file, secrets_in(file.data))
    sweep = validate(MatrixFile, file)
    refuse(file, faults(sweep))
    folder = path.absolute().parent
    found, missing = find_models(sweep, folder)
    refuse(file, missing)
    sweep.located(folder, found, file.text)
    return sweep.model_copy(
        update={
            "system": str(_system_path(sweep.system, folder)),
            "data": Data(path=absolute(folder, sweep.data.path)),
        }
    )


def _system_path(system: str, folder: Path) -> Path:
    """Return the file of a built-in system, or the given path."""
    return built_in_path(system) if system in BUILT_IN else Path(absolute(folder, system))
