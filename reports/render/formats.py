"""The names of the export formats. Nothing heavy is imported here: the command line's help lists them."""

from __future__ import annotations

from enum import StrEnum


class Format(StrEnum):
    """An export format, in the order in which formats are written.

    Markdown embeds the plots and comes last; the others are written while plots are drawn.
    """

    CSV = "csv"
    PARQUET = "parquet"
    LATEX = "latex"
    PYTEST_BENCHMARK = "pytest-benchmark"
    JUNIT = "junit"
    BENCHER = "bencher"
    GITHUB_ACTION = "github-action"
    OTAVA = "otava"
    HTML = "html"
    PLOTS = "plots"
    PDF = "pdf"
    MARKDOWN = "markdown"


DEFAULT = (Format.CSV, Format.PARQUET, Format.HTML, Format.PLOTS, Format.MARKDOWN)
"""What a report consists of if nothing else is asked for."""
