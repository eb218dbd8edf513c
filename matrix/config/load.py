"""Read a matrix file, alone or with its system file: validate its schema, check it across keys and find its models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matrix.config.crosscheck import faults
from matrix.config.models.located import find_models
from matrix.config.reading.assignments import Assignment, assign
from matrix.config.reading.credentials import secrets_in
from matrix.config.reading.validation import refuse, refuse_another_kind, validate
from matrix.config.reading.yamlfile import YamlFile, read_yaml
from matrix.config.sweep import Data, MatrixFile
from matrix.config.system import BUILT_IN, SystemFile, built_in_path, load_system, system_fault, system_path
from matrix.errors import InputError
from matrix.host.paths import absolute


def load_sweep(path: Path) -> MatrixFile:
    """Read a matrix file and make its paths absolute.

    Raises:
        InputError: the file is invalid; one sentence per fault, with file, line, key and what would be valid.

    """
    return _sweep(read_yaml(path))


def load_both(matrix: Path, system: str | None, assignments: Sequence[Assignment]) -> tuple[MatrixFile, SystemFile]:
    """Read a matrix file and its system file, or `system` (a path, or a built-in system's name) in place of that.

    Raises:
        InputError: files or assignments are invalid; one sentence per fault, those of both files at once.

    """
    sweep: MatrixFile | None = None
    system_file: SystemFile | None = None
    sentences: list[str] = []
    file = assign(read_yaml(matrix), [each for each in assignments if not each.of_system])
    try:
        sweep = _sweep(file)
    except InputError as error:
        sentences.append(str(error))
    path: Path | None = None
    try:
        if system is not None:
            path = system_path(system)
        elif sweep is None:
            path = _named_system(file)
        else:
            path = Path(sweep.system)
        if path is not None:
            system_file = load_system(path, [each for each in assignments if each.of_system])
    except InputError as error:
        sentences.append(str(error))
    if sweep and system_file and _lacks_limit(sweep, system_file):
        sentences.append(
            f"{path}: memory_per_rank is missing: regime: max-batch needs the GiB that a rank of a CPU may use"
        )
    if sweep is None or system_file is None or sentences:
        raise InputError("\n".join(sentences))
    return sweep, system_file


def _sweep(file: YamlFile) -> MatrixFile:
    refuse_another_kind(file, MatrixFile, SystemFile, "a system file: give it with --system, after a matrix file")
    refuse(file, secrets_in(file.data))
    sweep = validate(MatrixFile, file)
    refuse(file, faults(sweep))
    folder = file.path.absolute().parent
    found, missing = find_models(sweep, folder)
    refuse(file, missing)
    sweep.located(folder, found, file.text)
    return sweep.model_copy(
        update={
            "system": str(_system_path(sweep.system, folder)),
            "data": Data(path=absolute(folder, sweep.data.path)),
        }
    )


def _lacks_limit(sweep: MatrixFile, system: SystemFile) -> bool:
    return sweep.regime == "max-batch" and system.device == "cpu" and system.memory_per_rank is None


def _named_system(file: YamlFile) -> Path | None:
    """Return the system file that an invalid matrix file names, None if that cannot be told."""
    named = file.data.get("system", BUILT_IN[0]) if isinstance(file.data, dict) else None
    if not isinstance(named, str) or system_fault(named):
        return None
    return _system_path(named, file.path.absolute().parent)


def _system_path(system: str, folder: Path) -> Path:
    """Return the file of a built-in system, or the given path."""
    return built_in_path(system) if system in BUILT_IN else Path(absolute(folder, system))
