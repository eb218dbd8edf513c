"""The memory of large reports."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

from reports.cells.comparability import Comparability
from reports.data.frame import load
from reports.tables.long_form import long_form
from reports.tables.tables import tables
from tests.support.documents import SweepDocuments


def test_raw_figures_take_little_more_memory_than_their_frame(tmp_path: Path) -> None:
    sweep = SweepDocuments(tmp_path, nodes=range(1, 41), repeats=1)
    for nodes in range(1, 41):
        for strategy in ("fsdp", "federated"):
            sweep.run(strategy, nodes, speeds=[1000.0 * nodes])
    made = tables(Comparability(load(sweep.write())))
    tracemalloc.start()
    frame = long_form(made)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * frame.memory_usage(deep=False).sum()
