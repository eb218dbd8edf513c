"""Reading a matrix file: its schema, what a schema cannot say, and the models that it names."""

from __future__ import annotations

from pathlib import Path

from matrix.config.crosscheck import faults
from matrix.config.models.located import find_models
from matrix.config.sweep import Data, Sweep
from matrix.config.system import BUILT_IN, built_in_path
from matrix.config.validation import refuse, validate
from matrix.config.yamlfile import read_yaml
from matrix.host.paths import absolute


def load_sweep(path: Path) -> Sweep:
    """Read a matrix file; the paths in it become absolute.

    Raises:
        InputError: one sentence for each thing that is wrong, with file, line, key and what would be right.

    """
    file = read_yaml(path)
    sweep = validate(Sweep, file)
    refuse(file, faults(sweep))
    folder = path.absolute().parent
    found, missing = find_models(sweep, folder)
    refuse(file, missing)
    sweep.located(folder, found)
    return sweep.model_copy(
        update={
            "system": str(_system_path(sweep.system, folder)),
            "data": Data(path=absolute(folder, sweep.data.path)),
        }
    )


def _system_path(system: str, folder: Path) -> Path:
    """A built-in system's file, or the one that is named."""
    return built_in_path(system) if system in BUILT_IN else Path(absolute(folder, system))
