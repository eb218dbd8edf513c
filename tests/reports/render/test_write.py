from __future__ import annotations

import math
import re
import subprocess
import sys
from io import StringIO
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.markers import CARETDOWNBASE, CARETUPBASE
from rich.console import Console

from bench.contract.results.outcomes import Caution, Outcome
from reports.cells.comparability import Comparability
from reports.data.faults import ReportError
from reports.data.frame import load
from reports.render import markdown
from reports.render.exporters import exporters
from reports.render.formats import Format
from reports.render.plotting.error_bars import dodged
from reports.render.plotting.loss_plot import loss_plot
from reports.render.plotting.scaling_plot import scaling_plot
from reports.render.plotting.style import looks
from reports.render.terminal import print_report
from reports.render.write import write_report
from reports.tables.tables import tables
from tests.support.documents import SweepDocuments

FILES = {
    "report.html",
    "report.md",
    "tables.csv",
    "runs.csv",
    "runs.parquet",
    "plots/llama-tiny.batch-size-4.scaling.svg",
    "plots/llama-tiny.batch-size-4.scaling.png",
    "plots/llama-tiny.batch-size-4.loss.svg",
    "plots/llama-tiny.batch-size-4.loss.png",
}


@pytest.fixture
def filled(sweep: SweepDocuments) -> SweepDocuments:
    for strategy in ("fsdp", "federated"):
        for nodes in (1, 2):
            ids = sweep.run(strategy, nodes, speeds=[1000.0 * nodes] * 3, cautions=[Caution.OVERSUBSCRIBED])
            for identity in ids:
                if strategy == "federated" and nodes == 2:
                    sweep.steps(identity, [[5.0, 3.0], [4.0, 2.5]], tokens=[300, 100])
                else:
                    sweep.steps(identity, [[5.0, 3.0]], tokens=[400])
    return sweep


def test_the_report_has_all_files_and_writing_it_again_gives_the_same_bytes(
    filled: SweepDocuments, tmp_path: Path
) -> None:
    out = tmp_path / "report"
    written = write_report(filled.write(), out)
    assert {str(path.relative_to(out)) for path in written.files} == FILES
    assert {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()} == FILES
    before = {name: (out / name).read_bytes() for name in FILES}
    write_report(filled.path, out)
    assert {name: (out / name).read_bytes() for name in FILES} == before


def test_the_markdown_has_table_caption_cautions_and_plots(filled: SweepDocuments, tmp_path: Path) -> None:
    text = write_report(filled.write(), tmp_path / "report").report.read_text()
    assert "| metric | strategy | 1 node | 2 nodes |" in text
    assert "| **tokens/s** | fsdp | 1,000 | 2,000 |" in text
    assert "125,248 parameters" in text
    assert f"oversubscribed: {Caution.OVERSUBSCRIBED.meaning}; {Caution.OVERSUBSCRIBED.remedy}." in text
    assert "(plots/llama-tiny.batch-size-4.scaling.svg)" in text


def test_plots_are_whole_pictures_with_the_ideal_line_and_the_cautions(filled: SweepDocuments, tmp_path: Path) -> None:
    plots = (write_report(filled.write(), tmp_path / "report").report.parent) / "plots"
    svg = (plots / "llama-tiny.batch-size-4.scaling.svg").read_text()
    assert svg.rstrip().endswith("</svg>")
    assert 'id="ideal"' in svg
    assert "oversubscribed" in svg
    assert (plots / "llama-tiny.batch-size-4.loss.png").read_bytes().startswith(b"\x89PNG")
    assert "entropy rate" in (plots / "llama-tiny.batch-size-4.loss.svg").read_text()


def test_the_ideal_line_starts_at_the_reference_and_doubles_with_the_nodes(filled: SweepDocuments) -> None:
    (table,) = tables(Comparability(load(filled.write())))
    axes, *_ = scaling_plot(table, looks(["fsdp", "federated"])).axes
    (ideal,) = [line for line in axes.get_lines() if line.get_gid() == "ideal"]
    assert list(ideal.get_xdata()) == [1, 2]
    assert list(ideal.get_ydata()) == pytest.approx([1000, 2000])


def test_error_bars_are_inside_the_axes_and_those_of_decades_end_in_an_arrow(sweep: SweepDocuments) -> None:
    sweep.run("fsdp", 1, speeds=[1000.0, 3000.0])
    sweep.run("fsdp", 2, speeds=[10.0, 4000.0, 8000.0])  # the interval spans many decades
    (table,) = tables(Comparability(load(sweep.write())))
    figure = scaling_plot(table, looks(["fsdp"]))
    axes, *_ = figure.axes
    low, high = axes.get_ylim()
    (bars,) = (container for container in axes.containers if container.has_yerr)
    (segments,) = (line.get_segments() for line in bars.lines[2])
    (of_range, of_interval) = (sorted(segment[:, 1]) for segment in segments)
    assert of_range == pytest.approx([1000, 3000])
    middle = (10 * 4000 * 8000) ** (1 / 3)
    assert of_interval == pytest.approx([middle / 2, middle * 2])
    assert low < middle / 2
    assert high > 3000
    arrows = [line for line in axes.get_lines() if line.get_marker() in (CARETDOWNBASE, CARETUPBASE)]
    assert [list(line.get_ydata()) for line in arrows] == [[pytest.approx(middle / 2)], [pytest.approx(middle * 2)]]
    assert "Arrow heads" in figure.get_supxlabel()


def test_scaling_has_panels_of_efficiency_and_memory_with_all_bars_inside(sweep: SweepDocuments) -> None:
    for nodes in (1, 2):
        sweep.run("fsdp", nodes, speeds=[1000.0 * nodes, 1100.0 * nodes, 1600.0 * nodes])
        sweep.run("hsdp", nodes, speeds=[1000.0 * nodes, 1200.0 * nodes, 900.0 * nodes])
    (table,) = tables(Comparability(load(sweep.write())))
    figure = scaling_plot(table, looks(["fsdp", "hsdp"]))
    titles = ["tokens/s", "efficiency vs fsdp on 1 node", "memory of a rank (GiB)"]
    assert [axes.get_ylabel() for axes in figure.axes] == titles
    for axes in figure.axes:
        (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
        segments = [s for bars in axes.containers if bars.has_yerr for s in bars.lines[2][0].get_segments()]
        assert len(segments) == 4
        assert all(left < x < right and low <= y <= high for segment in segments for x, y in segment)
    memory = figure.axes[2]
    peak, state = 5.0, 2**20 / 2**30
    drawn = {round(float(y), 6) for line in memory.get_lines() for y in line.get_ydata()}
    assert {peak, round(state, 6)} <= drawn


def test_points_on_one_node_count_stand_apart_in_the_order_of_the_rows(sweep: SweepDocuments) -> None:
    for nodes in (1, 2):
        for strategy in ("fsdp", "hsdp", "federated"):
            sweep.run(strategy, nodes, speeds=[1000.0 * nodes] * 3)
    (table,) = tables(Comparability(load(sweep.write())))
    figure = scaling_plot(table, looks(["fsdp", "hsdp", "federated"]))
    for axes in figure.axes:
        places = [list(bars.lines[0].get_xdata()) for bars in axes.containers]
        assert len({x for row in places for x in row}) == 6
        assert places == sorted(places)
        on_one, on_two = zip(*places, strict=True)
        assert on_one[1] == pytest.approx(1)
        assert max(on_one) < min(on_two)


@pytest.mark.parametrize("places", [1, 2, 5, 40])
@pytest.mark.parametrize("nodes", [[1], [1, 2, 4], [4, 5, 6], [1, 64]])
def test_points_never_reach_those_of_the_next_node_count(nodes: list[int], places: int) -> None:
    rows = [dodged(nodes, place, places) for place in range(places)]
    columns = list(zip(*rows, strict=True))
    for column, count in zip(columns, nodes, strict=True):
        assert list(column) == sorted(set(column))
        assert column[0] * column[-1] == pytest.approx(count**2), "the node count is in the middle"
    assert all(max(one) < min(other) for one, other in pairwise(columns))


def test_pdf_is_drawn_if_asked_for_and_the_same_again(filled: SweepDocuments, tmp_path: Path) -> None:
    contents = []
    for name in ("one", "other"):
        write_report(filled.write(), tmp_path / name, exporters([Format.PDF]))
        contents.append((tmp_path / name / "plots" / "llama-tiny.batch-size-4.scaling.pdf").read_bytes())
    assert contents[0].startswith(b"%PDF")
    assert contents[0] == contents[1]


def test_the_perplexity_of_a_step_is_of_the_loss_weighted_by_the_groups_tokens(filled: SweepDocuments) -> None:
    """Over time and over tokens: 0.1 s and 400 tokens a step."""
    # (5 * 300 + 4 * 100) / 400 = 4.75 and (3 * 300 + 2.5 * 100) / 400 = 2.875
    (table,) = tables(Comparability(load(filled.write())))
    figure, problems = loss_plot(table, filled.path, looks(["fsdp", "federated"]))
    assert problems == []
    for axes, step in zip(figure.axes, (0.1, 400), strict=True):
        line = axes.get_lines()[1]
        assert list(line.get_ydata()[:2]) == pytest.approx([math.exp(4.75), math.exp(2.875)])
        assert list(line.get_xdata()[:2]) == pytest.approx([step, 2 * step])


@pytest.mark.parametrize(
    ("first", "last", "labels"),
    [
        (3.5, 3.0, [20, 22.5, 25, 27.5, 30, 32.5]),
        (5.5, 2.5, [10, 20, 50, 100, 200]),
        (11.6, 4.5, [10, 100, 1000, 10_000, 100_000]),
    ],
)
def test_the_axis_of_perplexities_has_labels_all_along(
    sweep: SweepDocuments, first: float, last: float, labels: list[float]
) -> None:
    for identity in sweep.run("fsdp", 1, speeds=[1000.0] * 3):
        sweep.steps(identity, [[first, last]], tokens=[400])
    (table,) = tables(Comparability(load(sweep.write())))
    figure, _ = loss_plot(table, sweep.path, looks(["fsdp"]))
    axes = figure.axes[0]
    low, high = axes.get_ylim()
    assert [tick for tick in axes.get_yticks() if low <= tick <= high] == pytest.approx(labels)


def test_the_band_spans_the_repeats(sweep: SweepDocuments) -> None:
    for identity, loss in zip(sweep.run("fsdp", 1, speeds=[1000.0] * 3), (4.0, 3.0, 5.0), strict=True):
        sweep.steps(identity, [[loss]], tokens=[400])
    (table,) = tables(Comparability(load(sweep.write())))
    figure, _ = loss_plot(table, sweep.path, looks(["fsdp"]))
    for axes in figure.axes:
        assert axes.get_lines()[0].get_ydata()[0] == pytest.approx(math.exp(4))
        (band,) = axes.collections
        (outline,) = band.get_paths()
        heights = outline.vertices[:, 1]
        assert (heights.min(), heights.max()) == pytest.approx((math.exp(3), math.exp(5)))


@pytest.mark.parametrize(("last", "is_drawn"), [(3.0, True), (4.9, False)])
def test_the_entropy_rate_does_not_squash_the_curves(sweep: SweepDocuments, last: float, is_drawn: bool) -> None:
    """It is 2.25 nats/token here."""
    for identity in sweep.run("fsdp", 1, speeds=[1000.0]):
        if identity.endswith("r0"):
            sweep.steps(identity, [[5.0, last]], tokens=[400])
    (table,) = tables(Comparability(load(sweep.write())))
    figure, _ = loss_plot(table, sweep.path, looks(["fsdp"]))
    assert [len(axes.get_lines()) - 1 for axes in figure.axes] == [is_drawn] * 2
    notes = figure.get_supxlabel()
    assert ("Below the axis: perplexity" in notes) is not is_drawn


def test_unreadable_steps_are_named_and_the_rest_is_reported(filled: SweepDocuments, tmp_path: Path) -> None:
    path = next(filled.path.glob("runs/llama-tiny.fsdp.n2*r0")) / "steps.parquet"
    path.write_bytes(path.read_bytes()[:100])
    written = write_report(filled.write(), tmp_path / "report")
    assert [str(path) in problem for problem in written.problems] == [True]
    assert str(path) in written.report.read_text()
    assert {path.name for path in written.files} >= {"llama-tiny.batch-size-4.loss.png"}


def test_a_sweep_that_has_not_started_is_reported_too(sweep: SweepDocuments, tmp_path: Path) -> None:
    sweep.run("fsdp", 1)
    written = write_report(sweep.write(), tmp_path / "report", exporters([Format.PARQUET]))
    assert written.summary == "Sweep hand-made, 3 runs: 3 not run"
    assert len(pd.read_parquet(tmp_path / "report" / "runs.parquet")) == 3


def test_a_report_that_cannot_be_written_gives_one_sentence(filled: SweepDocuments, tmp_path: Path) -> None:
    (tmp_path / "report").write_text("in the way")
    with pytest.raises(ReportError, match="the report cannot be written to"):
        write_report(filled.write(), tmp_path / "report")


def test_the_terminal_shows_headlines_outcomes_and_what_to_do(filled: SweepDocuments, tmp_path: Path) -> None:
    for identity in filled.run("hsdp", 2):
        filled.end(identity, Outcome.OOM, "CUDA out of memory")
    screen = StringIO()
    print_report(write_report(filled.write(), tmp_path / "report", [markdown]), Console(file=screen, width=120))
    text = screen.getvalue()
    assert "efficiency vs fsdp on 1 node" in text
    assert "oom [1]" in text
    assert "read the table as a functional test" in text
    assert "12 completed, 3 oom" in text


def test_no_interval_is_broken_on_a_narrow_terminal(sweep: SweepDocuments, tmp_path: Path) -> None:
    for nodes in (1, 2):
        for strategy in ("fsdp", "hsdp"):
            sweep.run(strategy, nodes, speeds=[10_000.0 * nodes, 12_000.0 * nodes, 20_000.0 * nodes])
    screen = StringIO()
    print_report(write_report(sweep.write(), tmp_path / "report", [markdown]), Console(file=screen, width=70))
    text = screen.getvalue()
    assert max(map(len, text.split("llama-tiny: 125,248")[0].splitlines()[1:])) <= 70
    assert re.search(r"\n +\[\d\d?,\d{3}, \d+,\d{3}\]", text), "an interval on a line of its own"
    assert not [line for line in text.splitlines() if line.count("[") != line.count("]")]


def test_reporting_imports_no_torch() -> None:
    code = "import sys, reports.render.terminal; print({'torch', 'transformers', 'datasets'} & set(sys.modules))"
    ended = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ended.stdout == "set()\n"


def test_the_terminal_says_which_cells_a_caution_is_about(sweep: SweepDocuments, tmp_path: Path) -> None:
    for strategy in ("fsdp", "hsdp"):
        sweep.run(strategy, 1, speeds=[1000.0] * 3)
        sweep.run(strategy, 2, speeds=[1000.0] * 3, cautions=[Caution.OVERSUBSCRIBED])
    screen = StringIO()
    print_report(write_report(sweep.write(), tmp_path / "report", [markdown]), Console(file=screen, width=200))
    first, *_ = screen.getvalue().splitlines()
    assert "More ranks than cores ran (oversubscribed on 2 nodes), so its speeds are no finding" in first
    assert "\ncautions: oversubscribed (on 2 nodes)" in screen.getvalue()
