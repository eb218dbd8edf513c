"""The plots of each table, as files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from bench.contract.results.result import Result
from bench.contract.storage.atomic import Content
from reports.render.base import BREAKDOWN, Export, Picture, Report
from reports.render.plotting.breakdown_plot import breakdown_plot
from reports.render.plotting.drawing import lay_out
from reports.render.plotting.loss_plot import loss_plot
from reports.render.plotting.scaling_plot import scaling_plot
from reports.render.plotting.style import Look, looks
from reports.tables.tables import Table

MOST_PLOTTED = 12
"""Tables beyond these get no plots: drawing takes about a second per table, and hundreds of plots help nobody."""
_UNDATED: dict[str, dict[str, None]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}


@dataclass(frozen=True)
class Plots:
    """The exporter of the plots in one or several kinds of files: `svg`, `png`, `pdf`."""

    kinds: tuple[str, ...]

    def export(self, report: Report) -> Export:
        """Return the scaling, loss and breakdown plots of the first tables, and a sentence for each unreadable file."""
        return joined((work() for work in self.by_table(report)), report)

    def by_table(self, report: Report) -> Iterator[Callable[[], Export]]:
        """Yield for each table to plot what draws it."""
        plotted = report.tables[:MOST_PLOTTED]
        strategies = looks([row.look for table in plotted for row in table.grid.rows])
        for table in plotted:
            yield partial(_of_table, table, report.folder, strategies, report.sweep.results, self.kinds)


def _of_table(
    table: Table, folder: Path, strategies: dict[str, Look], results: dict[str, Result], kinds: tuple[str, ...]
) -> Export:
    loss, unread = loss_plot(table, folder, strategies, results)
    files: dict[str, bytes] = {}
    pictures = []
    figures = {"scaling": scaling_plot(table, strategies), "loss": loss, BREAKDOWN: breakdown_plot(table)}
    for subject, figure in figures.items():
        if figure is None:
            continue
        lay_out(figure)
        for kind in kinds:
            file = f"plots/{table.grid.slug}.{subject}.{kind}"
            files[file] = drawn(figure, kind)
            pictures.append(Picture(table.grid.slug, f"{subject} of {table.grid.title}", file, subject))
    return Export(files, pictures, unread)


def joined(by_table: Iterable[Export], report: Report) -> Export:
    """Return the plots of all tables as one export, and say how many tables have none."""
    files: dict[str, Content] = {}
    export = Export(files)
    for of_table in by_table:
        files.update(of_table.files)
        export.pictures.extend(of_table.pictures)
        export.problems.extend(of_table.problems)
    if len(report.tables) > MOST_PLOTTED:
        export.problems.append(
            f"only the first {MOST_PLOTTED} of {len(report.tables)} tables are plotted; tables.csv has all figures"
        )
    return replace(export, problems=[each for each in export.problems if each not in report.problems])


def drawn(figure: Figure, kind: str) -> bytes:
    """Return the figure as `svg`, `png` or `pdf`; equal figures give equal bytes."""
    content = BytesIO()
    with mpl.rc_context({"svg.hashsalt": "xffl-bench", "svg.fonttype": "none"}):
        figure.savefig(content, format=kind, dpi=150, metadata=_UNDATED.get(kind))
    return content.getvalue()


PICTURES = Plots(("svg", "png"))
PDF = Plots(("pdf",))
"""For LaTeX, if asked for: drawing takes about as long again."""
