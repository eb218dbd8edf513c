"""The recipe of docs/guides/reports.md for TensorBoard, as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.support.documents import SweepDocuments

PAGE = Path(__file__).parents[3] / "docs" / "guides" / "reports.md"


def test_tensorboard_shows_the_losses_of_each_group(tmp_path: Path) -> None:
    sweep = SweepDocuments(tmp_path / "results" / "demo", repeats=1)
    (federated,) = sweep.run("federated", 2, speeds=[1000.0])
    sweep.steps(federated, [[5.0, 3.0], [4.0, 2.5]], tokens=[300, 100])
    sweep.write()
    (recipe,) = re.findall(r"```python\n([^`]*SummaryWriter[^`]*)```", PAGE.read_text(encoding="utf-8"))
    subprocess.run([sys.executable, "-c", recipe], cwd=tmp_path, check=True, timeout=200)
    events = EventAccumulator(str(tmp_path / "tensorboard" / federated))
    events.Reload()
    losses = {group: [(each.step, each.value) for each in events.Scalars(f"loss of group {group}")] for group in (0, 1)}
    assert losses[0][:3] == [(0, 5.0), (1, 3.0), (2, 3.0)]
    assert losses[1][:2] == [(0, 4.0), (1, 2.5)]
    assert events.Scalars("seconds of group 1")[-1].value == pytest.approx(0.1)
