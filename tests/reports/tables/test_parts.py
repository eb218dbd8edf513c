"""Breakdown runs in a report: in a frame, a table and a plot of their own, and nowhere else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from bench.contract.results.breakdown import Part
from bench.contract.results.outcomes import Caution, Outcome
from reports.cells.comparability import Comparability
from reports.data.columns.parts import PARTS
from reports.data.frame import load
from reports.render.plotting.breakdown_plot import breakdown_plot
from reports.render.write import write_report
from reports.tables.long_form import long_form
from reports.tables.selection import Selection
from reports.tables.tables import Table, tables
from tests.support.documents import SweepDocuments, a_breakdown

SPEEDS = [1000.0, 1010.0, 1020.0]
FIRST, SECOND = a_breakdown(0.2, forward=0.06, backward=0.1), a_breakdown(0.1, forward=0.02, backward=0.06)
AVERAGES = a_breakdown(0.4, forward=0.1, backward=0.2, averaging=0.08)


def made(sweep: SweepDocuments) -> list[Table]:
    return tables(Comparability(load(sweep.write())))


def filled(folder: Path, *, breakdown: bool) -> SweepDocuments:
    sweep = SweepDocuments(folder)
    sweep.run("fsdp", 1, speeds=SPEEDS, breakdowns=[FIRST, SECOND] if breakdown else [])
    sweep.run("federated", 2, speeds=SPEEDS, breakdowns=[AVERAGES] if breakdown else [])
    return sweep


def test_they_are_in_no_other_figure(tmp_path: Path) -> None:
    with_runs, without = (filled(tmp_path / str(some), breakdown=some) for some in (True, False))
    tables_with, tables_without = made(with_runs), made(without)
    pd.testing.assert_frame_equal(long_form(tables_with), long_form(tables_without))
    assert [table.notices for table in tables_with] == [table.notices for table in tables_without]
    assert [table.caption for table in tables_with] == [table.caption for table in tables_without]
    frames = [load(sweep.path).frame for sweep in (with_runs, without)]
    pd.testing.assert_frame_equal(*frames)
    reports = [write_report(sweep.path, sweep.path / "report") for sweep in (with_runs, without)]
    assert reports[0].answers == reports[1].answers
    assert reports[0].summary == f"{reports[1].summary}; 3 breakdown runs: 3 completed"
    assert not [file for file in reports[1].files if "breakdown" in file.name]


def test_they_are_found_for_a_row_that_is_shown_in_part(tmp_path: Path) -> None:
    (table,) = made(filled(tmp_path / "sweep", breakdown=True))
    row = next(row for row in table.grid.rows if row.label == "federated")
    part = replace(row, cells={2: row.cells[2]})
    assert table.breakdown is not None
    assert table.breakdown.cell(part, 2) is table.breakdown.cell(row, 2) is not None
    assert table.breakdown.cell(part, 1) is None


def test_their_frame_has_parts_and_no_figures(tmp_path: Path) -> None:
    sweep = filled(tmp_path / "sweep", breakdown=True)
    report = write_report(sweep.write(), tmp_path / "report")
    frame = pd.read_csv(report.report.parent / "breakdown.csv").set_index("run")
    assert not {"tokens_per_s", "loss_final", "mfu"} & set(frame.columns)
    first = frame.loc["llama-tiny.fsdp.n1.s1.b4.breakdown.r0"]
    assert (first["outcome"], first["nodes"], first["axis.strategy"]) == ("completed", 1, "fsdp")
    assert (first["breakdown_step_s"], first["backward_s"], first["backward_slowest_s"]) == (0.2, 0.1, 0.2)
    assert {column.name for column in PARTS} <= set(frame.columns)
    pd.testing.assert_index_equal(
        pd.read_parquet(report.report.parent / "breakdown.parquet").columns, frame.reset_index().columns
    )


def test_a_selection_leaves_times_of_the_rows_that_it_shows(tmp_path: Path) -> None:
    sweep = filled(tmp_path / "sweep", breakdown=True)
    only = Selection(lambda labels: labels["nodes"] == 1)
    text = write_report(sweep.write(), tmp_path / "report", selection=only).report.read_text()
    section = text.split("### Breakdown of a step: llama-tiny, batch size 4\n")[1]
    assert "| **whole step** | fsdp | 150 ms |\n" in section
    assert "2 nodes" not in section


def test_a_selection_across_rows_and_nodes_leaves_times_of_its_cells(tmp_path: Path) -> None:
    sweep = SweepDocuments(tmp_path / "sweep")
    for strategy in ("fsdp", "hsdp"):
        for nodes in (1, 2):
            sweep.run(strategy, nodes, speeds=SPEEDS, breakdowns=[FIRST])
    (table,) = made(sweep)
    only = Selection(lambda labels: (labels["strategy"], labels["nodes"]) in {("fsdp", 1), ("hsdp", 2)})
    shown = only.table(table, load(sweep.path).plan)
    assert shown is not None
    assert shown.breakdown is not None
    assert [(cell.row.label, cell.nodes) for cell in shown.breakdown.cells] == [("fsdp", 1), ("hsdp", 2)]


def test_the_table_has_times_and_shares(tmp_path: Path) -> None:
    sweep = filled(tmp_path / "sweep", breakdown=True)
    sweep.same("hsdp", 1, "fsdp")
    text = write_report(sweep.write(), tmp_path / "report").report.read_text()
    section = text.split("### Breakdown of a step: llama-tiny, batch size 4\n")[1]
    assert "These runs: 3 completed." in section
    assert "| **whole step** | fsdp | 150 ms | not measured |" in section
    assert "| **forward** | fsdp | 40.0 ms (26.7 %) | not measured |" in section
    assert "|  | hsdp | 40.0 ms (26.7 %) | not measured |" in section
    assert "|  | federated | not measured | 80.0 ms (20.0 %) |" in section
    assert section.count("breakdown.svg)") == 1
    assert "breakdown.svg" not in text.split("### Breakdown")[0], "it belongs to the section on breakdown runs"


def test_the_plot_stacks_the_parts_of_each_run_once(tmp_path: Path) -> None:
    sweep = filled(tmp_path / "sweep", breakdown=True)
    sweep.same("hsdp", 1, "fsdp")
    (table,) = made(sweep)
    figure = breakdown_plot(table)
    assert figure is not None
    (axes,) = figure.axes
    bars = {bars.get_label(): [bar.get_width() for bar in bars] for bars in axes.containers}
    assert list(bars) == [part.value for part in Part]
    assert bars["backward"] == pytest.approx([80, 200])
    ends = [bar.get_x() + bar.get_width() for bar in axes.containers[-1]]
    assert ends == pytest.approx([150, 400])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["fsdp, 1 node", "federated, 2 nodes"]


def test_failures_and_cautions_of_theirs_are_said_beside_them(sweep: SweepDocuments) -> None:
    sweep.run("fsdp", 1, speeds=SPEEDS, breakdowns=[FIRST, SECOND], cautions=[Caution.BUSY_MACHINE])
    for identity in sweep.cells[0].breakdown_runs:
        sweep.end(identity, Outcome.OOM, "rank 0 ran out of memory")
    (table,) = made(sweep)
    assert table.breakdown is not None
    assert (table.breakdown.cells, table.breakdown.outcomes) == ([], "2 oom")
    assert breakdown_plot(table) is None
    sweep.run("federated", 1, breakdowns=[AVERAGES], cautions=[Caution.BUSY_MACHINE])
    (table,) = made(sweep)
    assert table.breakdown is not None
    assert table.breakdown.cautions == [Caution.BUSY_MACHINE]


def test_a_timed_run_in_the_folder_of_a_breakdown_run_is_damage(tmp_path: Path) -> None:
    sweep = filled(tmp_path / "sweep", breakdown=True)
    file = sweep.folder("llama-tiny.fsdp.n1.s1.b4.breakdown.r0").run
    content = json.loads(file.read_text())
    file.write_text(json.dumps({**content, "purpose": "measure"}))
    read = load(sweep.write())
    (problem,) = read.problems
    assert problem == f"{file}: purpose: should be 'breakdown', not 'measure'"
    assert list(read.breakdown["outcome"]) == ["damaged", "completed", "completed"]
