"""The image of a sweep, found: what tells it from others, and the words that bring its ranks in."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Literal

from bench.contract.files import RunFolder, write_whole
from bench.contract.run import Run
from bench.host.provenance import commit_of, told
from matrix.config.image_settings import ImageSettings
from matrix.errors import InputError
from matrix.host.variables import environment
from matrix.image.apptainer import find_program
from matrix.image.apptainer_command import Bind, enter
from matrix.image.digests import digest
from matrix.image.enter_node import Entry
from matrix.image.enter_node import device as device_here
from matrix.xffl.interpreter import InImage


class Image:
    """An image that ranks of a system run in."""

    def __init__(self, settings: ImageSettings) -> None:
        """Raises InputError: what the system file names is not there."""
        self.settings = settings
        self.path = Path(settings.path)
        if not self.path.is_file():
            raise InputError(f"image.path: there is no file {self.path}: `xffl-bench image build` makes one")
        if settings.code is not None and not (Path(settings.code) / "bench" / "start.py").is_file():
            raise InputError(f"image.code: {settings.code} is no checkout of xffl-bench: name one, or leave it out")

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the file."""
        return digest(self.path)

    def python(self, device: Literal["cpu", "cuda"]) -> InImage:
        """Its interpreter, to be asked on this machine.

        Raises:
            InputError: neither Apptainer nor Singularity is here.

        """
        program = find_program(self.settings.program, key="image.program")
        binds = [Bind(Path(self.settings.code))] if self.settings.code else []
        gpu = device_here(on_gpus=device == "cuda")
        words = enter(self.path, gpu, binds, self._code(), workdir=Path("/"), program=str(program))
        return InImage(self.path, (*words, "python"))

    def into(self, run: Run, folder: RunFolder, python: Path | None = None) -> list[str]:
        """Write the run's `image.json`; returns the words before the command of an agent or a rank on any node, where
        `python` is the interpreter of xffl-bench.

        Raises:
            OSError: it cannot be written.

        """
        write_whole(entry_file(folder), self._entry(run, folder).as_json(), durable=False)
        return words(folder, python)

    def _entry(self, run: Run, folder: RunFolder) -> Entry:
        return Entry(
            image=str(self.path),
            program=self.settings.program,
            on_gpus=run.system.device == "cuda",
            workdir=str(folder.path.absolute()),
            scratch=self.settings.scratch,
            binds=tuple(self._binds(run, folder)),
            environment=environment(run.system, {"XFFL_BENCH_IMAGE": self.digest, **self._code()}),
        )

    def _code(self) -> dict[str, str]:
        """Variables by which a checkout's code is found before the image's, and its commit known."""
        if self.settings.code is None:
            return {}
        code = Path(self.settings.code)  # at the same place inside
        state = told(*commit_of(code), code)
        return {"PYTHONPATH": self.settings.code, "XFFL_BENCH_COMMIT": state}

    def _binds(self, run: Run, folder: RunFolder) -> Iterator[Bind]:
        """What ranks see of the host; of several for one place the last counts."""
        read = [run.data, run.weights, run.training.start_from]
        paths = [path for name in read if name for path in (Path(name), *elsewhere(Path(name)))]
        code = [Path(self.settings.code)] if self.settings.code else []  # its links lead to nothing that is imported
        found = {path: Bind(path) for path in (*paths, *code)}
        for bind in self.settings.more:
            at = Path(bind.at or bind.path)
            found[at] = Bind(Path(bind.path), bind.writable, at)
        own = folder.path.absolute()
        yield from (found | {own: Bind(own, writable=True)}).values()


def elsewhere(folder: Path) -> list[Path]:
    """Folders of the files that links in a folder lead to, as in the hub's cache."""
    files = [file.resolve() for file in folder.rglob("*") if file.is_symlink()] if folder.is_dir() else []
    real = folder.resolve()
    return sorted({file.parent for file in files if not file.is_relative_to(real)})


def entry_file(folder: RunFolder) -> Path:
    """Where a run keeps what its nodes have to know of the image."""
    return folder.path / "image.json"


def words(folder: RunFolder, python: Path | None = None) -> list[str]:
    """What stands before a command on a node."""
    return [
        str(python or sys.executable),
        "-P",
        "-m",
        "matrix.image.enter_node",
        str(entry_file(folder).absolute()),
        "--",
    ]
