"""Histories of nights on disk: order, causes, breaks, and what is missing."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from reports.history.course import Course
from reports.history.history import history, history_of
from reports.history.history_summary import summary
from reports.history.levels import Level, MeasuredNight
from reports.history.plot import history_plot
from reports.nights.document import Change, Labels
from reports.nights.night_metrics import METRIC_BY_KEY
from tests.support.nights import COMBINATIONS, Nights

LOSS = METRIC_BY_KEY["loss_validation"]


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """Seven quiet nights, then three in which hsdp is 8 % slower, with another torch."""
    nights = Nights(tmp_path, repeats=3)
    made = [nights.write() for _ in range(7)]
    return made + [nights.write(slower={"hsdp": 1.08}, packages={"torch": "2.9.0"}) for _ in range(3)]


def test_a_change_is_found_on_its_night_with_what_changed_there(folders: list[Path]) -> None:
    found = history(folders[::-1])
    assert [night.folder for night in found.nights] == list(map(str, folders)), "in the order in which they began"
    assert len(found.series) == 3 * len(COMBINATIONS)
    (change,) = found.changes
    assert (change.labels["strategy"], change.metric, change.night) == ("hsdp", "tokens_per_s", 7)
    assert (change.verdict, change.counts) == (Change.REGRESSED, (7, 3))
    assert change.ratio == pytest.approx(1 / 1.08, abs=0.02)
    assert change.causes == ["provenance.packages.torch: 2.8.0 -> 2.9.0"]
    head, line, cause = summary(found)
    assert head.startswith("10 nights, 4 combinations, 12 series: 1 change of level")
    assert line.startswith(f"  2030-01-09 ({folders[7]}): tokens/s regressed: hsdp, nodes 2 x 0.9")
    assert cause == "    changed there: provenance.packages.torch: 2.8.0 -> 2.9.0"
    figure = history_plot(found)
    assert figure is not None
    assert len(figure.axes) == 3
    assert [len(panel.lines) for panel in figure.axes] == [len(COMBINATIONS) + 1, len(COMBINATIONS), len(COMBINATIONS)]


def test_other_conditions_begin_a_series_anew(tmp_path: Path) -> None:
    nights = Nights(tmp_path, repeats=3)
    made = [nights.write() for _ in range(5)]
    made += [nights.write(slower={"fsdp": 2.0}, training={"precision": "bf16"}) for _ in range(5)]
    found = history(made)
    assert found.changes == []
    assert {(each.night, each.reason) for each in found.breaks} == {(5, "training.precision: fp32 -> bf16")}
    assert len(found.breaks) == len(COMBINATIONS)
    assert "not comparable with earlier nights" in summary(found)[1]


def test_a_missing_repeat_after_a_break_does_not_mix_both_stretches() -> None:
    def level(precision: str, values: dict[int, float]) -> Level:
        return Level({}, {LOSS.key: values}, {"training.precision": precision}, {})

    before, after = level("fp32", dict.fromkeys(range(3), 3.0)), level("bf16", dict.fromkeys(range(2), 2.0))
    made = Course({}, {1: before, 2: after, 4: after}).series(LOSS)
    assert made is not None
    assert made.values == pytest.approx([3.0, 2.0, 2.0])
    assert (made.nights, made.begins) == ([1, 2, 4], [1, 2])


def test_a_plot_has_a_gap_and_a_line_where_conditions_changed(tmp_path: Path) -> None:
    nights = Nights(tmp_path, repeats=3)
    made = [nights.write() for _ in range(3)]
    made += [nights.write(slower=dict.fromkeys(("fsdp", "hsdp", "federated"), 2.0), training={"precision": "bf16"})]
    figure = history_plot(history([*made, nights.write(slower={"fsdp": 2.0}, training={"precision": "bf16"})]))
    assert figure is not None
    speeds = figure.axes[0]
    *courses, mark = speeds.lines
    assert len(courses) == len(COMBINATIONS), "one mark for the break of all combinations"
    assert list(map(float, np.asarray(mark.get_xdata()))) == [2.5, 2.5]
    drawn = np.asarray(courses[0].get_ydata(), dtype=float)
    assert list(np.isnan(drawn)) == [False, False, False, True, False, False]
    assert drawn[[0, 1, 2, 4, 5]] == pytest.approx(np.ones(5), abs=0.05), "each stretch is over its own mean"


def test_combinations_that_a_new_axis_makes_ambiguous_are_named(tmp_path: Path) -> None:
    def night(index: int, axes: list[str], labels: list[Labels]) -> MeasuredNight:
        levels = [Level(each, {"tokens_per_s": {0: 1000.0}}, {}, {}) for each in labels]
        return MeasuredNight(tmp_path / str(index), f"{index}", axes, levels, [])

    old: list[Labels] = [{"nodes": 1}, {"nodes": 2}]
    new: list[Labels] = [{"nodes": 1, "seq": 512}, {"nodes": 1, "seq": 1024}, {"nodes": 2, "seq": 512}]
    made = history_of([night(0, ["nodes"], old), night(1, ["nodes", "seq"], new)])
    assert [series.nights for series in made.series] == [[0], [0, 1]]
    assert made.problems == [
        f"{tmp_path / '1'}: 2 combinations left out: they differ only in axes that not every night has (seq)"
    ]
    assert summary(made)[-1] == made.problems[0]


def test_nights_without_figures_are_named_and_left_out(tmp_path: Path) -> None:
    nights = Nights(tmp_path, repeats=1)
    made = [nights.write(), nights.write()]
    for file in made[0].glob("runs/*/result.json"):
        file.unlink()
    found = history(made)
    assert [night.folder for night in found.nights] == [str(made[1])]
    assert found.problems == [f"{made[0]}: left out: no run of it has completed"]
    empty = history(made[:1])
    assert (empty.nights, empty.series, history_plot(empty)) == ([], [], None)


def test_a_missing_repeat_does_not_move_a_loss() -> None:
    """Repeats have their own seeds, whose losses differ far more than those of nights."""
    losses = {0: 2.5, 1: 3.5, 2: 4.5}
    without = {repeat: loss for repeat, loss in losses.items() if repeat}
    levels = {night: Level({}, {LOSS.key: without if night in (4, 5) else losses}, {}, {}) for night in range(8)}
    course = Course({}, levels)
    made = course.series(LOSS)
    assert made is not None
    assert made.values == pytest.approx([math.prod(losses.values()) ** (1 / 3)] * 8)
    assert list(course.changes(LOSS, 0.001, 0.005)) == []


def test_software_that_changed_beside_a_change_is_named_as_such() -> None:
    softwares = ["a"] * 6 + ["b"] * 4
    speeds = [1000.0, 1001.0, 999.0, 1002.0, 998.0, 1000.0, 1001.0, 900.0, 901.0, 899.0]
    levels = {
        night: Level({}, {"tokens_per_s": {0: speed}}, {}, {"provenance.commit": commit})
        for night, (speed, commit) in enumerate(zip(speeds, softwares, strict=True))
    }
    (change,) = Course({}, levels).changes(METRIC_BY_KEY["tokens_per_s"], 0.001, 0.02)
    assert (change.night, change.causes, change.nearby) == (7, [], ["provenance.commit: a -> b"])
