"""The plots of each table, as files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from io import BytesIO

import matplotlib as mpl
from matplotlib.figure import Figure

from reports.render.base import BREAKDOWN, Export, Picture, Report
from reports.render.plotting.breakdown_plot import breakdown_plot
from reports.render.plotting.drawing import lay_out
from reports.render.plotting.loss_plot import loss_plot
from reports.render.plotting.scaling_plot import scaling_plot
from reports.render.plotting.style import looks

MOST_PLOTTED = 12
"""Tables beyond these get no plots: drawing takes about a second per table, and hundreds of plots help nobody."""
_UNDATED: dict[str, dict[str, None]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}


@dataclass(frozen=True)
class Plots:
    """The exporter of the plots in one or several kinds of files: `svg`, `png`, `pdf`."""

    kinds: tuple[str, ...]

    def export(self, report: Report) -> Export:
        """Return the scaling, loss and breakdown plots of the first tables, and a sentence for each unreadable file."""
        plotted = report.tables[:MOST_PLOTTED]
        strategies = looks([row.look for table in plotted for row in table.grid.rows])
        files: dict[str, bytes] = {}
        export = Export(files)
        for table in plotted:
            loss, unread = loss_plot(table, report.folder, strategies, report.sweep.results)
            export.problems.extend(unread)
            figures = {"scaling": scaling_plot(table, strategies), "loss": loss, BREAKDOWN: breakdown_plot(table)}
            for subject, figure in figures.items():
                if figure is None:
                    continue
                lay_out(figure)
                for kind in self.kinds:
                    file = f"plots/{table.grid.slug}.{subject}.{kind}"
                    files[file] = drawn(figure, kind)
                    export.pictures.append(Picture(table.grid.slug, f"{subject} of {table.grid.title}", file, subject))
        if len(plotted) < len(report.tables):
            export.problems.append(
                f"only the first {len(plotted)} of {len(report.tables)} tables are plotted; tables.csv has all figures"
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
