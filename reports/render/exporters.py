"""The registry of export formats."""

from __future__ import annotations

from collections.abc import Collection

from reports.render import csv, latex, markdown, parquet
from reports.render.base import Exporter
from reports.render.formats import DEFAULT, Format
from reports.render.html import page
from reports.render.plotting.plots import PDF, PICTURES
from reports.render.trackers import bencher, github_action, junit, otava, pytest_benchmark

_BY_FORMAT: dict[Format, Exporter] = {
    Format.PLOTS: PICTURES,
    Format.PDF: PDF,
    Format.CSV: csv,
    Format.PARQUET: parquet,
    Format.LATEX: latex,
    Format.PYTEST_BENCHMARK: pytest_benchmark,
    Format.JUNIT: junit,
    Format.BENCHER: bencher,
    Format.GITHUB_ACTION: github_action,
    Format.OTAVA: otava,
    Format.MARKDOWN: markdown,
    Format.HTML: page,
}


def exporters(formats: Collection[Format]) -> tuple[Exporter, ...]:
    """Return the exporters of formats in the order of `Format`: each sees the pictures and problems of those before."""
    return tuple(_BY_FORMAT[each] for each in Format if each in formats)


EXPORTERS = exporters(DEFAULT)
