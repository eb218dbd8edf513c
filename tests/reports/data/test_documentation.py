from __future__ import annotations

from pathlib import Path

import pytest

from bench.contract.results.outcomes import Caution, Outcome
from reports.cells.metrics import METRICS
from reports.data.columns.frame_schema import AXIS, BREAKDOWN_RUNS, TIMED_RUNS
from reports.data.columns.units import WITHOUT, unit
from reports.data.frame import load
from reports.render.reference import regenerated
from tests.support.documents import SweepDocuments, a_breakdown

TEXT = (Path(__file__).parents[3] / "docs" / "reference" / "metrics.md").read_text()


def test_the_generated_tables_are_those_of_the_code() -> None:
    assert regenerated(TEXT) == TEXT, "run: python -m reports.render.reference"


def test_every_column_of_the_frame_is_described(sweep: SweepDocuments) -> None:
    sweep.run("fsdp", 1, speeds=[1000.0])
    columns = [name for name in load(sweep.write()).frame.columns if not name.startswith(AXIS)]
    assert [name for name in columns if f"\n| `{name}` |" not in TEXT] == []


def test_every_column_of_breakdown_runs_is_described(sweep: SweepDocuments) -> None:
    sweep.run("fsdp", 1, breakdowns=[a_breakdown(0.2, forward=0.1)])
    columns = [name for name in load(sweep.write()).breakdown.columns if not name.startswith(AXIS)]
    assert "forward_s" in columns
    assert [name for name in columns if f"\n| `{name}` |" not in TEXT] == []


def test_every_figure_of_the_tables_is_described() -> None:
    tables = TEXT.split("## The tables")[1]
    assert [metric.key for metric in METRICS if f"\n| `{metric.key}` |" not in tables] == []


def test_the_name_of_every_number_ends_with_its_unit() -> None:
    for name, kind in (TIMED_RUNS | BREAKDOWN_RUNS).items():
        if kind in ("number", "whole"):
            found, last = unit(name), name.split("_")[-1]
            assert found != "1" or last in WITHOUT, f"{name}: add its end to reports/data/columns/units.py"
            is_rate = "_per_" in name and last not in ("step", "update", "node")
            assert not is_rate or "/" in found or " per " in found, (
                f"{name} is in {found}, by units.py: add its whole end"
            )


def test_a_geometric_mean_is_called_one() -> None:
    means = {metric.key: metric for metric in METRICS if metric.against is None}
    called = {key for key, metric in means.items() if metric.meaning.startswith("geometric mean")}
    assert called == {key for key, metric in means.items() if metric.of_machine}, "`meaning` is for metrics.md"


@pytest.mark.parametrize("caution", Caution)
def test_every_caution_is_described_with_its_remedy(caution: Caution) -> None:
    assert f"| `{caution}` | {caution.meaning} | {caution.remedy} |" in TEXT


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_is_named(outcome: Outcome) -> None:
    assert f"`{outcome}`" in TEXT
