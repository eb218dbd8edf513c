"""The image of this checkout, built as a user builds it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support.images import ROOT, Pip, apptainer


@dataclass(frozen=True)
class Built:
    """An image, and what was printed while it was built."""

    image: Path
    said: str
    program: str


def xffl_bench(*words: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command of this checkout."""
    return subprocess.run(
        [sys.executable, "-m", "matrix", *map(str, words)],
        cwd=ROOT,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def build(base: Path, folder: Path) -> Built:
    """For the CPU."""
    pip = Pip()
    image = folder / "bench.sif"
    words = ["--device", "cpu", "--bootstrap", "localimage", "--from", base, "--out", image, *pip.binds(base)]
    done = xffl_bench("image", "build", *words, **pip.variables)
    assert done.returncode == 0, done.stdout[-5000:]
    return Built(image, done.stdout, apptainer())
