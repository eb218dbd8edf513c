"""The names of the export formats. Nothing heavy is imported here: the command line's help lists them."""

from __future__ import annotations

from enum import StrEnum


class Format(StrEnum):
    """An export format, in the order in which formats are written: what embeds pictures comes after the plots."""

    PLOTS = "plots"
    PDF = "pdf"
    CSV = "csv"
    PARQUET = "parquet"
    LATEX = "latex"
    PYTEST_BENCHMARK = "pytest-benchmark"
    JUNIT = "junit"
    BENCHER = "bencher"
    GITHUB_ACTION = "github-action"
    OTAVA = "otava"
    MARKDOWN = "markdown"
    HTML = "html"


DEFAULT = (Format.PLOTS, Format.CSV, Format.PARQUET, Format.MARKDOWN, Format.HTML)
"""What a report consists of if nothing else is asked for."""
