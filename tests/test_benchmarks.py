"""What `make bench` runs takes too long for a test, so nothing else would tell that it no longer fits the code."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from tests import benchmarks


@pytest.mark.parametrize("module", sorted(file.stem for file in Path(benchmarks.__path__[0]).glob("test_*.py")))
def test_every_benchmark_can_be_imported(module: str) -> None:
    names = vars(import_module(f"tests.benchmarks.{module}"))
    assert any(name.startswith("test_") for name in names)
