from __future__ import annotations

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.layout_engine import ConstrainedLayoutEngine

from reports.render.plotting.drawing import add_legend, lay_out, new_figure
from reports.render.plotting.plots import drawn
from reports.render.plotting.style import looks, row_style


@pytest.mark.filterwarnings("error:constrained_layout not applied")
@pytest.mark.parametrize("rows", [3, 40, 150])
@pytest.mark.parametrize("lines", [0, 3, 30])
def test_the_legend_and_the_notes_fit_and_leave_room_for_the_axes(rows: int, lines: int) -> None:
    figure, (axes,) = new_figure("Scaling: llama-tiny, batch size 4")
    for name, look in looks([f"custom-{number}" for number in range(rows)]).items():
        axes.plot([1, 2], [1, 2], label=name, **row_style(look, 0))
    add_legend(figure, axes, ["A note of one line."] * lines)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    legend = axes.get_legend()
    assert legend is not None
    around, inside = figure.bbox, legend.get_window_extent()
    assert around.y0 <= inside.y0
    assert inside.y1 <= around.y1
    assert axes.get_window_extent().height >= 2 * figure.dpi  # 2 inches


def test_a_plot_of_few_strategies_keeps_its_size() -> None:
    figure, (axes,) = new_figure("Scaling: llama-tiny, batch size 4")
    size = tuple(figure.get_size_inches())
    for number in range(6):
        axes.plot([1, 2], [1, 2], label=f"custom-{number}")
    add_legend(figure, axes, ["A note of one line."] * 3)
    assert tuple(figure.get_size_inches()) == size


def test_a_figure_is_laid_out_once_for_all_its_files(monkeypatch: pytest.MonkeyPatch) -> None:
    execute, times = ConstrainedLayoutEngine.execute, []
    monkeypatch.setattr(ConstrainedLayoutEngine, "execute", lambda *args: times.append(execute(*args)))
    figure, (axes,) = new_figure("Scaling: llama-tiny, batch size 4")
    before = axes.get_position().bounds
    lay_out(figure)
    after = axes.get_position().bounds
    assert after != before
    for kind in ("svg", "png", "pdf"):
        assert drawn(figure, kind)
    assert axes.get_position().bounds == after
    assert len(times) == 1
