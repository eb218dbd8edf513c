"""Time, tokens and node-hours to a target loss, as figures of runs and cells."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.contract.results.measured import Validation
from bench.contract.results.result import Result
from bench.contract.storage.files import write_document
from reports.answers.answers import answers
from reports.cells.comparability import Comparability
from reports.data.curves import Arrival, Descent
from reports.data.frame import load
from reports.data.step_table import StepTable
from reports.render import csv
from reports.render.plotting.loss_plot import loss_plot
from reports.render.plotting.style import looks
from reports.render.write import write_report
from reports.tables.long_form import long_form
from reports.tables.tables import Table, tables
from tests.reports.tables.texts import texts, the_table
from tests.support.documents import SweepDocuments

TARGET_METRICS = {"target_s", "target_ratio", "target_tokens", "target_node_hours"}


def course(sweep: SweepDocuments, run: str, blocks: list[float], validations: list[float] | None = None) -> None:
    """A course of 24 steps in blocks of 8, each step of 0.1 s and 400 tokens, with losses of each block."""
    sweep.steps(run, [[loss for loss in blocks for _ in range(8)]], tokens=[400])
    if validations is None:
        return
    file = sweep.folder(run).result
    result = Result.model_validate_json(file.read_text())
    assert result.measured is not None
    found = [
        Validation(step=8 * (number + 1), trained_tokens=3200 * (number + 1), loss=loss)
        for number, loss in enumerate(validations)
    ]
    loss = result.measured.loss.model_copy(update={"validation": validations[-1]})
    measured = result.measured.model_copy(update={"validations": found, "loss": loss})
    write_document(file, result.model_copy(update={"measured": measured}))


def courses(sweep: SweepDocuments, given: dict[str, list[float]]) -> None:
    for strategy, blocks in given.items():
        for run in sweep.run(strategy, 1, speeds=[1000.0, 1010.0, 990.0]):
            course(sweep, run, blocks)


def metrics(table: Table) -> set[str]:
    return {block.metric.key for block in table.blocks}


def test_a_given_target_gives_figures_ratios_and_who_does_not_reach_it(sweep: SweepDocuments) -> None:
    sweep.target_loss = 4.0
    courses(sweep, {"fsdp": [5.0, 4.5, 3.5], "federated": [5.0, 4.0, 3.9], "hsdp": [5.0, 4.5, 4.2]})
    table = the_table(sweep)
    assert texts(table, "target_s") == {"fsdp": ["2.40 s"], "federated": ["1.60 s"], "hsdp": ["not reached (3 of 3)"]}
    ratios = texts(table, "target_ratio")
    assert ratios == {"fsdp": ["1.000"], "federated": ["0.667"], "hsdp": ["not reached (3 of 3)"]}
    assert texts(table, "target_tokens")["federated"] == ["6,400"]
    assert texts(table, "target_node_hours")["federated"] == ["0.000444"]
    assert "target: a training loss of 4.0000 nats/token" in table.caption
    frame = long_form([table]).set_index(["metric", "strategy"])
    assert frame.loc[("target_ratio", "hsdp"), "outcome"] == "not reached"
    assert frame.loc[("target_ratio", "federated"), "rule"] == "pairs"


def test_a_row_with_a_repeat_that_does_not_get_there_has_no_mean_of_the_others(sweep: SweepDocuments) -> None:
    courses(sweep, {"fsdp": [5.0, 4.5, 4.0], "hsdp": [5.0, 4.0, 3.9]})
    course(sweep, sweep.cells[1].runs[1], [5.0, 4.5, 4.1])
    assert texts(the_table(sweep), "target_s")["hsdp"] == ["not reached (1 of 3)"]


def test_without_a_target_every_repeat_of_the_reference_reaches_its_worst_final_loss(sweep: SweepDocuments) -> None:
    for number, run in enumerate(sweep.run("fsdp", 1, speeds=[1000.0] * 3)):
        course(sweep, run, [5.0, 4.0, 3.1 + number / 7])
    courses(sweep, {"hsdp": [5.0, 3.2, 2.9]})
    table = the_table(sweep)
    assert texts(table, "target_s")["hsdp"] == ["1.60 s"]
    assert "not reached" not in texts(table, "target_s")["fsdp"][0]
    assert "the highest final loss of the repeats of fsdp: a training loss of 3.3857 on 1 node" in table.caption


def test_sums_of_the_same_losses_in_another_order_are_the_same_loss() -> None:
    descent = Descent.of(np.array([5.0, 5.5, 3.0]), np.array([1.0, 2.0, 3.0]), np.array([10.0, 20.0, 30.0]))
    assert descent.arrival(3.0 * (1 - 1e-12)) == Arrival(3.0, 30, at_once=False)
    assert descent.arrival(3.0 * (1 - 1e-6)) is None
    assert descent.arrival(6.0) == Arrival(1.0, 10, at_once=True)


def test_a_row_that_differs_from_the_reference_by_rounding_reaches_its_loss_too(sweep: SweepDocuments) -> None:
    """The order of sums only: with the same seeds, hsdp's losses are fsdp's to six digits or more."""
    courses(sweep, {"fsdp": [5.0, 4.5, 4.0], "hsdp": [5.0, 4.5, 4.0 + 3e-7], "federated": [5.0, 4.5, 4.0001]})
    table = the_table(sweep)
    reached = {"fsdp": ["2.40 s"], "hsdp": ["2.40 s"], "federated": ["not reached (3 of 3)"]}
    assert texts(table, "target_s") == reached
    assert "a training loss of 4.0000 on 1 node" in table.caption


def test_a_reference_that_misses_a_given_target_is_no_divisor(sweep: SweepDocuments) -> None:
    sweep.target_loss = 4.0
    courses(sweep, {"fsdp": [5.0, 4.5, 4.2], "federated": [5.0, 4.0, 3.9]})
    table = the_table(sweep)
    assert texts(table, "target_ratio") == {"fsdp": ["not reached (3 of 3)"], "federated": ["no reference"]}
    comparability = Comparability(load(sweep.path))
    (said,) = [text for text in answers(comparability, tables(comparability)) if "the target" in text]
    assert "the target, a training loss of 4.0000 nats/token; in every repeat by federated only, after 1.6 s" in said
    assert said.endswith("not reached by fsdp (in 3 of 3 repeats).")


def test_results_without_steps_have_no_such_figures(sweep: SweepDocuments) -> None:
    sweep.target_loss = 4.0
    for strategy in ("fsdp", "hsdp"):
        sweep.run(strategy, 1, speeds=[1000.0] * 3)
    table = the_table(sweep)
    assert not TARGET_METRICS & metrics(table)
    assert "target" not in table.caption


def test_the_runs_have_the_figures_in_the_files(sweep: SweepDocuments, tmp_path: Path) -> None:
    courses(sweep, {"fsdp": [5.0, 4.5, 4.0], "federated": [5.0, 4.0, 3.9], "hsdp": [5.0, 4.5, 4.2]})
    write_report(sweep.write(), tmp_path / "report", [csv])
    frame = pd.read_csv(tmp_path / "report" / "runs.csv").set_index("run")
    row = frame.loc[sweep.cells[1].runs[0]]
    assert (row["target_loss"], row["target_kind"], row["target_reached"]) == (4.0, "training", True)
    assert (row["target_s"], row["target_tokens"]) == (pytest.approx(1.6), 6400)
    assert row["target_node_hours"] == pytest.approx(1.6 / 3600)
    missed = frame.loc[sweep.cells[2].runs[0]]
    assert not missed["target_reached"]
    assert pd.isna(missed["target_s"])


def test_validation_losses_decide_if_every_row_has_them(sweep: SweepDocuments) -> None:
    """The training losses would say the contrary."""
    for strategy, blocks, validations in (
        ("fsdp", [5.0, 4.0, 3.0], [5.0, 4.0, 3.5]),
        ("federated", [5.0, 2.9, 2.8], [5.0, 3.6, 3.4]),
    ):
        for run in sweep.run(strategy, 1, speeds=[1000.0] * 3, training={"validate_every": 8}):
            course(sweep, run, blocks, validations)
    table = the_table(sweep)
    assert texts(table, "target_s") == {"fsdp": ["2.40 s"], "federated": ["2.40 s"]}
    assert "fsdp: a validation loss of 3.5000 on 1 node" in table.caption
    for run in sweep.run("hsdp", 1, speeds=[1000.0] * 3):
        course(sweep, run, [5.0, 4.0, 3.0])
    assert texts(the_table(sweep), "target_s")["federated"] == ["1.60 s"], "hsdp has training losses only"


def test_the_loss_plot_shows_validations(sweep: SweepDocuments) -> None:
    for run in sweep.run("fsdp", 1, speeds=[1000.0] * 3, training={"validate_every": 8}):
        course(sweep, run, [5.0, 4.0, 3.0], [4.5, 3.7, 3.2])
    read = load(sweep.write())
    (table,) = tables(Comparability(read))
    figure, _ = loss_plot(table, sweep.path, looks(["fsdp"]), read.results)
    assert figure is not None
    for axes, at in zip(figure.axes, ([0.8, 1.6, 2.4], [3200, 6400, 9600]), strict=True):
        _, points = axes.get_lines()[:2]
        assert list(points.get_xdata()) == pytest.approx(at)
        assert list(points.get_ydata()) == pytest.approx(np.exp([4.5, 3.7, 3.2]))
    assert "Large open markers: validation loss" in figure.get_supxlabel()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"step": 16}, "measured.validations.step: should be [8, 16, 24], not [16, 16, 24]"),
        ({"trained_tokens": 3201}, "measured.validations.trained_tokens: [3201.0, 6400.0, 9600.0], but steps.parquet"),
    ],
)
def test_validations_that_contradict_the_other_documents_are_found(
    sweep: SweepDocuments, change: dict[str, int], said: str
) -> None:
    run, *_ = sweep.run("fsdp", 1, speeds=[1000.0], training={"validate_every": 8})
    course(sweep, run, [5.0, 4.0, 3.0], [4.5, 3.7, 3.2])
    assert load(sweep.write()).problems == []
    file = sweep.folder(run).result
    content = json.loads(file.read_text())
    content["measured"]["validations"][0] |= change
    file.write_text(json.dumps(content))
    (problem,) = load(sweep.path).problems
    assert said in problem


def test_steps_are_read_once(sweep: SweepDocuments, monkeypatch: pytest.MonkeyPatch) -> None:
    courses(sweep, {"fsdp": [5.0, 4.5, 4.0], "federated": [5.0, 4.0, 3.9]})
    reads = []
    read = StepTable.read
    monkeypatch.setattr(StepTable, "read", lambda content, groups: reads.append(groups) or read(content, groups))
    comparability = Comparability(load(sweep.write()))
    answers(comparability, tables(comparability))
    assert len(reads) == 6
