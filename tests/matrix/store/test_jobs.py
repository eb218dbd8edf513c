"""Folders of jobs, and how long runs are expected to take."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.contract.results.result import JobEnd, Result
from bench.contract.run import Run
from matrix.errors import LostClaimError
from matrix.store.claim import claim
from matrix.store.estimate import ROOM, Expected
from matrix.store.jobs import job_folders, new_job
from matrix.store.sweep_folder import SweepFolder
from tests.support.documents import a_measurement, a_result
from tests.support.planning import PlanText

REPEATS = """\
name: small
axes: {model: llama-tiny, strategy: fsdp, nodes: 1, batch_size: 2}
repeats: 3
limits: {run_seconds: 600}
data: {path: data}
"""


def test_what_never_became_a_job_is_none_and_its_place_is_taken(tmp_path: Path) -> None:
    sweep = SweepFolder(tmp_path)
    left = new_job(sweep).path
    (left / "submitted.json").write_text("{}", encoding="utf-8")
    assert job_folders(sweep) == []
    again = new_job(sweep)
    assert again.path == left
    assert again.submitted is None


def test_a_job_that_was_closed_is_no_longer_held(tmp_path: Path) -> None:
    """A login node closes a job that the scheduler has lost; the runs of a process that lives on are in another job."""
    folder = new_job(SweepFolder(tmp_path))
    with claim(folder.runners, lambda runner: None, lambda: folder.closed) as own:
        own.check()
        folder.ended(JobEnd(id="7", state="GONE", said="the scheduler does not know it", seconds=1.0, nodes=1))
        with pytest.raises(LostClaimError, match=r"0001: this job has already ended \(GONE: the scheduler"):
            own.check()


def test_a_run_whose_end_its_runner_did_not_see_says_nothing_of_how_long_it_took(plan: PlanText) -> None:
    planned = plan(REPEATS)
    runs: list[Run] = [planned.runs[run] for run in planned.plan.order]
    seconds = {runs[0].id: 0.0, runs[1].id: 40.0}

    def result(run: str) -> Result | None:
        if run not in seconds:
            return None
        return a_result(run, a_measurement(1000.0, nodes=1), seconds=seconds[run])

    assert Expected(result, runs).seconds(runs[2]) == ROOM * 40
    del seconds[runs[1].id]
    assert Expected(result, runs).seconds(runs[2]) == 600
