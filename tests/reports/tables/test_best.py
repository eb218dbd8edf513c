"""Rows each at its best configuration, which other repeats chose than are measured."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.contract.layout import Layout
from bench.contract.plan import Cell
from bench.contract.results.outcomes import Caution, Outcome
from reports.answers.answers import answers
from reports.cells.best import choice_of, chosen_of
from reports.cells.comparability import Comparability
from reports.cells.grid import CellRuns, Choice
from reports.data.frame import load
from reports.render.exporters import exporters
from reports.render.formats import Format
from reports.render.write import write_report
from reports.stats.comparison import ratio
from reports.tables.long_form import long_form
from reports.tables.selection import Selection
from reports.tables.tables import Table, tables
from tests.reports.tables.texts import all_tables, texts
from tests.support.documents import SweepDocuments, a_breakdown


def tuned(folder: Path, repeats: int) -> SweepDocuments:
    sweep = SweepDocuments(folder / "sweep", nodes=(1,), repeats=repeats)
    sweep.axes["compile"] = [False, True]
    sweep.axes["batch_size"] = [4, 8]
    sweep.best_of = ["compile", "batch_size"]
    return sweep


@pytest.fixture
def best(tmp_path: Path) -> Table:
    """Compiling fsdp is slower in the even repeats, and hsdp is faster with the larger batch throughout."""
    sweep = tuned(tmp_path, 4)
    sweep.run("fsdp", 1, speeds=[1000.0, 900.0, 1001.0, 901.0], settings={"compile": False})
    sweep.run("fsdp", 1, speeds=[950.0, 2000.0, 951.0, 2001.0], settings={"compile": True})
    sweep.run("hsdp", 1, speeds=[800.0, 801.0, 802.0, 803.0], settings={"compile": False})
    sweep.run("hsdp", 1, speeds=[1800.0, 1801.0, 1802.0, 1803.0], settings={"compile": True}, batch=8)
    first, *_ = all_tables(sweep)
    return first


def test_each_row_has_its_best_configuration_measured_on_the_other_repeats(best: Table) -> None:
    assert best.grid.title == "llama-tiny, each at its best"
    assert best.texts[0] == (
        "best configuration",
        [["compile false, batch_size 4"], ["compile true, batch_size 8"]],
    )
    speeds = texts(best, "tokens_per_s")
    assert speeds["fsdp"][0].startswith("900")
    assert speeds["hsdp"][0].startswith("1,802")
    assert texts(best, "ratio")["hsdp"][0].startswith("2.001"), "comparable: they differ in what was chosen"
    assert (
        "each cell has the best of compile, batch_size, chosen by tokens/s of the repeats 0, 2 and measured on the "
        "others (1, 3)"
    ) in best.caption
    assert Caution.SELECTED not in best.cautions


def test_the_long_form_names_what_was_chosen(best: Table) -> None:
    frame = long_form([best])
    speeds = frame[frame["metric"] == "tokens_per_s"].set_index("strategy")
    assert list(speeds["axis.batch_size"]) == [4, 8]
    assert speeds.loc["hsdp", "count"] == 2


def test_a_cell_that_is_not_in_the_matrix_has_no_configuration(tmp_path: Path) -> None:
    sweep = tuned(tmp_path, 4)
    for nodes, strategies in ((1, ("fsdp", "hsdp")), (2, ("hsdp",))):
        for strategy in strategies:
            for chosen in (False, True):
                sweep.run(strategy, nodes, speeds=[1000.0 + chosen] * 4, settings={"compile": chosen})
    best, *_ = all_tables(sweep)
    frame = long_form([best])
    speeds = frame[frame["metric"] == "tokens_per_s"].set_index(["strategy", "nodes"])
    assert speeds.loc[("fsdp", 2), "outcome"] == "not in the matrix"
    assert speeds.loc[("fsdp", 2), "axis.compile"] is None
    assert bool(speeds.loc[("fsdp", 1), "axis.compile"])


def test_with_few_repeats_the_choice_is_no_comparison(tmp_path: Path) -> None:
    sweep = tuned(tmp_path, 3)
    for strategy, speed in (("fsdp", 1000.0), ("hsdp", 2000.0)):
        for number, chosen in enumerate((False, True)):
            speeds = [(speed + number) * factor for factor in (1.0, 1.01, 0.99)]
            sweep.run(strategy, 1, speeds=speeds, settings={"compile": chosen})
    comparability = Comparability(load(sweep.write()))
    made = tables(comparability)
    assert Caution.SELECTED in made[0].cautions
    assert "chosen and measured on the same repeats (0, 1, 2)" in made[0].caption
    assert not any("faster" in sentence for sentence in made[0].findings)
    (said,) = [text for text in answers(comparability, made) if "each at its best" in text and "loss" not in text]
    assert "no comparison yet" in said


def test_a_selection_of_a_tuned_value_leaves_the_tables_of_the_best_whole(tmp_path: Path) -> None:
    sweep = tuned(tmp_path, 3)
    sweep.axes["nodes"] = [1, 2]
    apart = [a_breakdown(0.1, forward=0.04)]
    for nodes, strategy, fastest in ((1, "fsdp", 4), (2, "fsdp", 8), (1, "hsdp", 8), (2, "hsdp", 4)):
        for batch in (4, 8):
            speeds = [1000.0 + (batch == fastest)] * 3
            sweep.run(strategy, nodes, speeds=speeds, settings={"compile": True}, batch=batch, breakdowns=apart)
    only = Selection(lambda labels: labels["batch_size"] == 8)
    every = exporters([format for format in Format if format is not Format.PDF])
    write_report(sweep.write(), tmp_path / "every", exporters([Format.CSV]))
    write_report(sweep.path, tmp_path / "some", every, only)
    whole, some = (
        frame[frame["table"] == "llama-tiny, each at its best"].reset_index(drop=True)
        for frame in (pd.read_csv(tmp_path / folder / "tables.csv") for folder in ("every", "some"))
    )
    pd.testing.assert_frame_equal(some, whole)


def cell(name: str, speeds: list[float], failed: int = 0) -> CellRuns:
    labels = {"model": "m", "strategy": "s", "nodes": 1, "batch_size": 1, "cuda_streams": 1, "compile": name}
    planned = Cell(labels=labels, status="run", layout=Layout(federation=1, replicate=1, shard=1), runs=[name])
    outcomes = [Outcome.COMPLETED] * (len(speeds) - failed) + [Outcome.OOM] * failed
    return CellRuns(
        planned,
        [
            {"run": name, "repeat": repeat, "outcome": outcome, "tokens_per_s": speed}
            for repeat, (speed, outcome) in enumerate(zip(speeds, outcomes, strict=True))
        ],
    )


def test_a_configuration_that_fails_now_and_then_is_not_the_best() -> None:
    choice = choice_of(["compile"], 4)
    shown = chosen_of([cell("fast", [9.0] * 4, failed=1), cell("safe", [5.0] * 4)], choice)
    assert shown.planned.labels["compile"] == "safe"
    assert [record["repeat"] for record in shown.records] == [1, 3]
    assert chosen_of([cell("fast", [9.0] * 4, failed=1)], choice).completed


def mean_ratio(choice: Choice, sweeps: int = 400) -> float:
    """Best of 10 equal configurations over one more that equals them, geometric mean over simulated sweeps."""
    draw, total = np.random.default_rng(3), 0.0
    for _ in range(sweeps):
        drawn = np.exp(0.05 * draw.standard_normal((11, 6))).tolist()
        *tried, other = [cell(str(number), speeds) for number, speeds in enumerate(drawn)]
        shown, base = chosen_of(tried, choice), chosen_of([other], choice)
        made = ratio(shown.samples("tokens_per_s"), base.samples("tokens_per_s"))
        assert made is not None
        total += math.log(made.estimate.value)
    return math.exp(total / sweeps)


def test_the_best_of_equal_configurations_is_not_better_than_another() -> None:
    every = tuple(range(6))
    assert mean_ratio(choice_of(["compile"], 6)) == pytest.approx(1.0, abs=0.005)
    assert mean_ratio(Choice(("compile",), every, every)) > 1.02, "the bias that is avoided"
