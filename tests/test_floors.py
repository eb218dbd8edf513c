"""Each import contract of pyproject.toml breaks where it is broken: none of them passes by not looking."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

PLANTED = {
    "bench: floors": ("bench/contract/base.py", "import bench.host.memory"),
    "matrix: floors": ("matrix/config/values.py", "import matrix.cli.app"),
    "reports: floors": ("reports/stats/intervals.py", "import reports.cells.grid"),
    "packages": ("bench/contract/plan.py", "import reports.data.words"),
    "torch": ("matrix/host/paths.py", "import torch"),
    "circle": ("matrix/config/axes.py", "import matrix.config.sweep"),
}
"""By a word of the contract's name: the file that gets one more import, and that import."""


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The three packages and their contracts, copied to be spoiled."""
    folder = tmp_path_factory.mktemp("packages")
    for name in ("bench", "matrix", "reports"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(ROOT / "pyproject.toml", folder / "pyproject.toml")
    return folder


@pytest.mark.parametrize("contract", PLANTED)
@pytest.mark.parametrize("disguise", ["lazy", "for type checkers"])
def test_a_contract_breaks(packages: Path, contract: str, disguise: str) -> None:
    name, planted = PLANTED[contract]
    file = packages / name
    sound = file.read_text()
    head = "def late() -> None:\n" if disguise == "lazy" else "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n"
    file.write_text(f"{sound}\n{head}    {planted}\n")
    try:
        done = subprocess.run(
            [Path(sys.executable).parent / "lint-imports", "--no-cache"],
            cwd=packages,
            env={**os.environ, "PYTHONPATH": str(packages), "COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        file.write_text(sound)
    broken = [line for line in done.stdout.splitlines() if line.endswith("BROKEN")]
    assert done.returncode == 1, done.stdout + done.stderr
    assert any(contract in line for line in broken), done.stdout
