"""Plots that processes draw while other formats are written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from reports.render.exporters import exporters
from reports.render.formats import Format
from reports.render.plotting import plots
from reports.render.plotting.style import Look
from reports.render.write import write_report
from reports.tables.selection import Selection
from reports.tables.tables import Table
from tests.support.documents import SweepDocuments


def test_processes_draw_what_one_draws(sweep: SweepDocuments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep.repeats = 1
    sweep.axes["batch_size"] = [1, 2, 4, 8]
    for batch in sweep.axes["batch_size"]:
        sweep.run("fsdp", 1, batch=batch, speeds=[1000.0 + batch])
    folder, every = sweep.write(), exporters([Format.PLOTS, Format.PDF, Format.CSV, Format.MARKDOWN])
    some = Selection(keeps=lambda labels: labels["batch_size"] not in (1, 4), filters=["of two tables"])
    for module in ("write", "plotting.plots"):
        monkeypatch.setattr(f"reports.render.{module}.MOST_PLOTTED", 1)
    monkeypatch.setattr("reports.data.apart.processes", lambda: 1)
    alone = write_report(folder, tmp_path / "alone", every, some)
    monkeypatch.setattr("reports.data.apart.processes", lambda: 2)
    monkeypatch.setattr("reports.render.plotting.at_work.FEWEST_APART", 1)
    drawing, here = plots.scaling_plot, os.getpid()

    def drawn_elsewhere(table: Table, looks: dict[str, Look]) -> Figure:
        assert os.getpid() != here
        return drawing(table, looks)

    monkeypatch.setattr(plots, "scaling_plot", drawn_elsewhere)
    together = write_report(folder, tmp_path / "together", every, some)
    names = [str(path.relative_to(tmp_path / "alone")) for path in alone.files]
    assert [Path(name).name for name in names if name.startswith("plots/")] == [
        f"llama-tiny.batch-size-2.scaling.{kind}" for kind in ("svg", "png", "pdf")
    ]
    assert [str(path.relative_to(tmp_path / "together")) for path in together.files] == names
    for name in names:
        assert (tmp_path / "together" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes(), name
    assert together.problems == alone.problems
    assert "only the first 1 of 2 tables are plotted; tables.csv has all figures" in alone.problems
