"""The jobs that are or may be in the scheduler."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from matrix.batch.live_jobs import LiveJobs
from matrix.config.settings.shell import ShellSettings
from matrix.config.system import SystemFile
from matrix.planning.plan import PlannedSweep
from matrix.schedulers.shell.scheduler import ShellScheduler
from matrix.store.jobs import JobOrder, new_job
from matrix.store.sweep_folder import SweepFolder
from tests.support.planning import PlanText


@pytest.fixture
def planned(plan: PlanText, small: str) -> PlannedSweep:
    return plan(small)


def test_a_job_whose_submission_is_uncertain_counts_until_it_is_found_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, planned: PlannedSweep
) -> None:
    """It may be in the queue, where `max_jobs` limits jobs, and its runs must not be submitted again."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    system = SystemFile(name="x", scheduler="shell", device="cpu", nodes=2, ranks_per_node=4)
    jobs = LiveJobs(ShellScheduler(), ShellSettings(), "shell", Console(quiet=True))
    assert (len(jobs), bool(jobs), jobs.run_ids) == (0, False, set())
    runs, folder = list(planned.runs.values()), new_job(SweepFolder(tmp_path / "sweep"))
    order = JobOrder(
        number=1, name="a", nodes=2, minutes=5, runs=runs, system=system, retry_failed=False, created="now"
    )
    folder.keep(order)
    jobs.unsure(folder, order)
    assert (len(jobs), bool(jobs), jobs.run_ids) == (1, True, {run.id for run in runs})
    assert jobs.find_unsure() == [], "the scheduler does not have it"
    assert (len(jobs), bool(jobs), jobs.run_ids) == (0, False, set())
