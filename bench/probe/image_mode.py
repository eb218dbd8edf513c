"""Test whether `xffl exec --image` reaches a node: the real program, with an ssh that only records that it was called,
and an empty file as image.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.probe.findings import UNKNOWN, Fact

_LIMIT = 60.0  # seconds

_SSH = """#!/bin/sh
touch "$(dirname "$0")/called"
"""

_CONFIGURATION = """class _Nothing:
    path = None


class xffl_config:
    model_info = _Nothing()
    dataset_info = _Nothing()
"""


class ImageMode:
    """A call of `xffl exec --image` in the background. Use as a context manager."""

    def __init__(self, command: Path) -> None:
        self._command = command

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="xffl-bench-probe-"))
        ssh = self._folder / "ssh"
        ssh.write_text(_SSH, encoding="utf-8")
        ssh.chmod(0o755)
        (self._folder / "config.py").write_text(_CONFIGURATION, encoding="utf-8")
        for name in ("training.py", "image.sif"):
            (self._folder / name).touch()
        words = ["training.py", "config.py", "-ws", "1", "-i", "image.sif", "-n", "localhost"]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [self._command, "exec", *(str(self._folder / word) if "." in word else word for word in words)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                env={
                    **os.environ,
                    "PYTHONSAFEPATH": "1",
                    "PATH": f"{self._folder}:{os.environ.get('PATH', os.defpath)}",
                },
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._folder)

    def read(self) -> Fact:
        """Wait for the call to finish and return the finding."""
        try:
            status = self._process.wait(timeout=_LIMIT)
        except subprocess.TimeoutExpired:
            return UNKNOWN, f"`xffl exec --image` had not ended after {_LIMIT:g} s"
        if (self._folder / "called").exists():
            return "starts", "`xffl exec --image` called ssh for its node"
        log = re.sub(r"\x1b\[[\d;]*m", "", (self._folder / "log").read_text(encoding="utf-8", errors="replace"))
        lines = [line for line in log.splitlines() if re.match(r"\w*(Error|Exception)\b", line)]
        said = f"`xffl exec --image` never called ssh (status {status})"
        if not lines:  # this version does not know the options, or prints nothing
            return UNKNOWN, f"{said}: {_shortened(log)}"
        return "crashes", f"{said}: {lines[-1]}"


def _shortened(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= 300 else f"{words[:300]} ..."
