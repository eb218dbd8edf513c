"""Runs that several processes read."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.data.apart import KilledError, begun
from reports.data.frame import LoadedSweep, load
from reports.data.steps import _agree, _quartiles
from tests.support.documents import SweepDocuments


@pytest.fixture
def damaged(sweep: SweepDocuments) -> Path:
    """A sweep of 12 runs, of which some cannot be read."""
    for strategy in ("fsdp", "hsdp"):
        for nodes in (1, 2):
            for identity in sweep.run(strategy, nodes, speeds=[1000.0, 1100.0, 1200.0]):
                sweep.steps(identity, [[5.0, 3.0]], tokens=[400])
    folder = sweep.write()
    cut, newer, without, _, ragged, *_ = sorted((folder / "runs").iterdir())
    (cut / "result.json").write_text("{")
    (newer / "run.json").write_text((newer / "run.json").read_text().replace('"version": 1', '"version": 2', 1))
    (without / "run.json").unlink()
    (ragged / "steps.parquet").write_bytes(b"PAR1")
    return folder


@pytest.mark.parametrize("at_once", [1, 5, 100])
def test_processes_read_what_one_reads(damaged: Path, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = load(damaged)
    monkeypatch.setattr("reports.data.reading.FEWEST_APART", 1)
    monkeypatch.setattr("reports.data.reading._AT_ONCE", at_once)
    monkeypatch.setattr("reports.data.apart.processes", lambda: 2)
    together = load(damaged)
    assert len(alone.problems) == 4
    assert together.problems == alone.problems
    pd.testing.assert_frame_equal(together.frame, alone.frame)
    assert (together.runs, together.results) == (alone.runs, alone.results)
    assert list(together.courses) == list(alone.courses) == list(alone.results)
    for run, course in alone.courses.items():
        np.testing.assert_array_equal(together.courses[run].training.losses, course.training.losses)
    assert _distinct_parts(together) == _distinct_parts(alone), "equal parts are one object"


def _distinct_parts(read: LoadedSweep) -> tuple[int, int]:
    settings = {id(run.training) for run in read.runs.values()}
    measured = [result.measured for result in read.results.values()]
    return len(settings), len({id(each.provenance) for each in measured if each is not None})


def test_a_killed_process_gives_one_sentence() -> None:
    def work(place: int) -> int:
        if place == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return place

    with begun(work, range(3)) as returned, pytest.raises(KilledError, match="was killed"):
        list(returned)


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=50))
def test_quartiles_are_those_of_numpy(values: list[float]) -> None:
    assert _quartiles(np.array(values)) == pytest.approx(list(np.percentile(values, [25, 50, 75])), rel=1e-12)


@pytest.mark.parametrize(
    ("ours", "theirs", "agree"),
    [
        (1.0, 1.0 + 1e-12, True),
        (1.0, 1.0 + 1e-6, False),
        (0.0, 1e-12, False),
        (float("nan"), float("nan"), True),
        (float("nan"), 1.0, False),
        (float("inf"), float("inf"), True),
        ([1.0, 2.0], [1.0, 2.0], True),
        ([1.0, 2.0], [1.0], False),
        ([], [], True),
    ],
)
def test_figures_agree_but_for_rounding(ours: float | list[float], theirs: float | list[float], agree: bool) -> None:
    assert _agree(ours, theirs) is agree
