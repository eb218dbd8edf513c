"""The image of a system: its digest, and the command prefix that runs its ranks inside."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Literal

from bench.contract.run import Run
from bench.contract.storage.atomic import write_whole
from bench.contract.storage.files import RunFolder
from bench.host.software.code_state import state_of
from matrix.config.settings.image import ImageSettings
from matrix.errors import InputError
from matrix.host.paths import unset_fault
from matrix.host.variables import environment
from matrix.image.apptainer import find_program
from matrix.image.apptainer_command import Bind, enter
from matrix.image.digests import cached_digest
from matrix.image.enter_node import Entry
from matrix.image.enter_node import device as device_here
from matrix.xffl.interpreter import InImage


class Image:
    """The image that ranks of a system run in."""

    def __init__(self, settings: ImageSettings) -> None:
        """Check that the image and the checkout exist.

        Raises:
            InputError: the image or the checkout named in the system file does not exist.

        """
        self.settings = settings
        self.path = Path(settings.path)
        if not self.path.is_file():
            missing = f"{self.path} does not exist: build it with `xffl-bench image build`"
            raise InputError(f"image.path: {unset_fault(settings.path) or missing}")
        if settings.code is not None and not (Path(settings.code) / "bench" / "start.py").is_file():
            raise InputError(f"image.code: {settings.code} is not a checkout of xffl-bench: give one, or remove it")

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the file."""
        return cached_digest(self.path)

    def python(self, device: Literal["cpu", "cuda"]) -> InImage:
        """Return the image's interpreter, to be queried on this machine.

        Raises:
            InputError: neither Apptainer nor Singularity is installed here.

        """
        program = find_program(self.settings.program, key="image.program")
        binds = [Bind(Path(self.settings.code))] if self.settings.code else []
        gpu = device_here(on_gpus=device == "cuda")
        words = enter(self.path, gpu, binds, self._code(), workdir=Path("/"), program=str(program))
        return InImage(self.path, (*words, "python"))

    def write_entry(self, run: Run, folder: RunFolder, python: Path | None = None) -> list[str]:
        """Write the run's `image.json`; return the command prefix for its agents and ranks on any node.

        `python` is the interpreter of xffl-bench on the nodes.

        Raises:
            OSError: the file cannot be written.

        """
        write_whole(entry_file(folder), self._entry(run, folder).as_json(), durable=False)
        return entry_command(folder, python)

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
        """Return the variables that put a checkout before the image's code and record its commit."""
        if self.settings.code is None:
            return {}
        code = Path(self.settings.code)  # at the same place inside
        return {"PYTHONPATH": self.settings.code, "XFFL_BENCH_COMMIT": state_of(code).text(code)}

    def _binds(self, run: Run, folder: RunFolder) -> Iterator[Bind]:
        """Yield the mounts from the host; of several for one path the last wins."""
        read = [run.data, run.weights, run.training.start_from]
        paths = [path for name in read if name for path in (Path(name), *link_target_folders(Path(name)))]
        code = [Path(self.settings.code)] if self.settings.code else []  # targets of its links are not imported
        found = {path: Bind(path) for path in (*paths, *code)}
        for bind in self.settings.more:
            at = Path(bind.at or bind.path)
            found[at] = Bind(Path(bind.path), bind.writable, at)
        own = folder.path.absolute()
        yield from (found | {own: Bind(own, writable=True)}).values()


def link_target_folders(folder: Path) -> list[Path]:
    """Return the folders outside `folder` that its symbolic links point into, as in the hub's cache."""
    files = [file.resolve() for file in folder.rglob("*") if file.is_symlink()] if folder.is_dir() else []
    real = folder.resolve()
    return sorted({file.parent for file in files if not file.is_relative_to(real)})


def entry_file(folder: RunFolder) -> Path:
    """Return the path of a run's `image.json`."""
    return folder.path / "image.json"


def entry_command(folder: RunFolder, python: Path | None = None) -> list[str]:
    """Return the command prefix that runs a command in the image on a node."""
    return [
        str(python or sys.executable),
        "-P",
        "-m",
        "matrix.image.enter_node",
        str(entry_file(folder).absolute()),
        "--",
    ]
