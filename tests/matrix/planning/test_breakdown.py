"""Runs that are never timed: where they are in a plan, and what tells them from the timed ones."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from bench.contract.run import Run
from matrix.batch.packing import pack
from matrix.cli.render import print_plan
from matrix.config.settings.batch import BatchSettings
from matrix.config.system import SystemFile
from matrix.planning.combinations.order import in_allocations
from matrix.planning.filters import parse_filter, select
from matrix.planning.plan import make_plan
from matrix.planning.prepare import PreparedSweep
from tests.support.earlier import unpack
from tests.support.planning import LoadText, PlanText


def test_breakdown_runs_are_apart_and_last(plan: PlanText, small: str) -> None:
    planned = plan(small + "repeats: 2\nbreakdown: 3\ntraining: {save_model: true}\nwandb: {mode: offline}\n")
    runs = [planned.runs[run_id] for run_id in planned.plan.order]
    assert len(runs) == len(planned.runs) == 4 * (2 + 3)
    assert [run.purpose for run in runs] == ["measure"] * 8 + ["breakdown"] * 12
    for cell in planned.plan.cells:
        assert [(len(cell.runs), len(cell.breakdown_runs)), cell.all_runs] == [
            (2, 3),
            [*cell.runs, *cell.breakdown_runs],
        ]
        assert {planned.runs[run_id].purpose for run_id in cell.breakdown_runs} == {"breakdown"}
    identities = {run.identity() for run in runs}
    assert len(identities) == len(runs), "a breakdown run is not the timed run of its repeat"
    assert all(run.training.save_model == (run.purpose == "measure") for run in runs)
    assert [run.wandb.mode for run in runs] == ["offline"] * 8 + ["disabled"] * 12
    assert all(".breakdown.r" in run.id for run in runs[8:])


def test_allocations_take_them_last_and_repeats_share_jobs(plan: PlanText, small: str) -> None:
    planned = plan(small + "repeats: 2\nbreakdown: 3\n")
    runs = in_allocations([planned.runs[run_id] for run_id in planned.plan.order], nested=False)
    assert [run.nodes for run in runs] == [1] * 4 + [2] * 4 + [1] * 6 + [2] * 6
    assert {run.purpose for run in runs[:8]} == {"measure"}
    packs = pack(runs, 2, lambda run: 1.0, BatchSettings(allocations=2), "slurm")
    assert len(packs) == 2 * 2, "as many as without breakdown runs"
    for each in packs:
        purposes = [run.purpose for run in each.runs]
        assert purposes == sorted(purposes, reverse=True)
        assert purposes.count("measure") == 2


def test_filters_select_them_with_their_combination(plan: PlanText, small: str) -> None:
    planned = plan(small + "breakdown: 1\n")
    chosen = select(planned, [parse_filter("nodes=2"), parse_filter("batch_size=4")], [])
    assert [planned.runs[run_id].purpose for run_id in chosen] == ["measure", "breakdown"]


@pytest.mark.parametrize("other", ["", ", xffl"])
def test_the_xffl_library_has_none_which_the_plan_says(load: LoadText, small: str, other: str) -> None:
    sweep = load(small.replace("axes:\n", f"axes:\n  engine: [native{other}]\n") + "breakdown: 1\n")
    system = SystemFile(name="toy", device="cpu", nodes=2, ranks_per_node=4)
    planned = make_plan(sweep, system)
    engines = {planned.runs[run_id].engine for cell in planned.plan.cells for run_id in cell.breakdown_runs}
    assert engines == {"native"}
    assert len(planned.plan.order) == (12 if other else 8)
    screen = StringIO()
    print_plan(PreparedSweep(sweep, system, planned, planned.plan.order), {}, Console(file=screen, width=200))
    said = "breakdown: engine xffl does not note the parts of a step: no breakdown runs of 4 combinations\n"
    assert (said in screen.getvalue()) == bool(other)
    assert screen.getvalue().endswith("; besides, not timed: 4 breakdown runs\n")


def test_ids_of_timed_runs_are_those_of_versions_without_purposes(tmp_path: Path) -> None:
    (file, *_) = (unpack(tmp_path) / "runs").glob("*/run.json")
    run = Run.model_validate_json(file.read_text())
    assert run.purpose == "measure"
    assert run.id.endswith(run.identity()[:6])
    assert run.model_copy(update={"purpose": "breakdown"}).identity() != run.identity()
