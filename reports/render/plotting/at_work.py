"""Drawing by processes while other formats are written: it takes longer than these."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

from reports.data.apart import begun
from reports.render.base import Export, Exporter, Report
from reports.render.plotting.plots import Plots, joined

FEWEST_APART = 4
"""Tables from which on processes draw them; fewer are drawn before these would have begun."""


@dataclass(frozen=True)
class _BegunPlots:
    """The exporter of plots that are being drawn."""

    by_table: Iterator[Export]

    def export(self, report: Report) -> Export:
        """Wait for the plots and return them."""
        return joined(self.by_table, report)


@contextmanager
def at_work(exporters: Sequence[Exporter], report: Report) -> Iterator[Sequence[Exporter]]:
    """Give the exporters; of many tables those of plots have begun to draw, of few they draw when they export."""
    of_tables = {place: list(each.by_table(report)) for place, each in enumerate(exporters) if isinstance(each, Plots)}
    tasks = [task for of_kind in of_tables.values() for task in of_kind]
    # All else that this process does takes longer than drawing, so it goes first.
    with begun(lambda place: tasks[place](), range(len(tasks)), fewest=FEWEST_APART, niceness=10) as drawn:
        yield [
            _BegunPlots(islice(drawn, len(of_tables[place]))) if place in of_tables else each
            for place, each in enumerate(exporters)
        ]
