from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.containers.images import ROOT, Pip, apptainer, debian


@dataclass(frozen=True)
class Built:
    """An image, and what was printed while it was built."""

    image: Path
    said: str
    program: str


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    apptainer()
    return debian(tmp_path_factory.mktemp("base") / "debian")


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


@pytest.fixture(scope="session")
def built(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The image of this checkout for the CPU, as a user makes it."""
    pip = Pip()
    image = tmp_path_factory.mktemp("image") / "bench.sif"
    words = ["--device", "cpu", "--bootstrap", "localimage", "--from", base, "--out", image, *pip.binds(base)]
    done = xffl_bench("image", "build", *words, **pip.variables)
    assert done.returncode == 0, done.stdout[-5000:]
    return Built(image, done.stdout, apptainer())
