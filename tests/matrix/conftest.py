from __future__ import annotations

from pathlib import Path

import pytest

from matrix.config.load import load_sweep
from matrix.config.sweep import MatrixFile
from matrix.config.system import SystemFile
from matrix.planning.plan import PlannedSweep, make_plan
from tests.support.planning import LoadText, PlanText

SMALL = """\
name: small
axes:
  model: llama-tiny
  strategy: [fsdp]
  nodes: [1, 2]
  batch_size: [2, 4]
data: {path: data}
"""


@pytest.fixture
def small() -> str:
    """A matrix file of four points, to be changed by a test."""
    return SMALL


@pytest.fixture
def load(tmp_path: Path) -> LoadText:
    """Reads a matrix file from its text."""

    def load_text(text: str) -> MatrixFile:
        path = tmp_path / "sweep.yaml"
        path.write_text(text)
        return load_sweep(path)

    return load_text


@pytest.fixture
def plan(load: LoadText) -> PlanText:
    """Plans the text of a matrix file on a system of so many nodes of so many ranks."""

    def plan_text(text: str, nodes: int = 2, ranks_per_node: int = 4) -> PlannedSweep:
        system = SystemFile(name="toy", device="cpu", nodes=nodes, ranks_per_node=ranks_per_node)
        return make_plan(load(text), system)

    return plan_text
