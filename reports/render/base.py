"""The seam of the export formats: what an exporter is given, and what it returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from bench.contract.storage.atomic import Content
from reports.data.frame import LoadedSweep
from reports.tables.tables import Table

BREAKDOWN = "breakdown"
"""Subject of the plots of breakdown runs, which belong to a section of their own."""


@dataclass(frozen=True)
class Picture:
    """An exported file that another format may embed."""

    table: str
    """Slug of the table that it belongs to."""
    shows: str
    file: str
    subject: str = ""
    """What it is a plot of: `scaling`, `loss` or `breakdown`."""


@dataclass(frozen=True)
class Report:
    """A report without a format, as exporters see it."""

    folder: Path
    """The sweep's folder."""
    sweep: LoadedSweep
    tables: list[Table]
    summary: str
    """Outcomes of the runs, and the cost of the jobs."""
    answers: list[str] = field(default_factory=list)
    """What was found, in sentences."""
    pictures: list[Picture] = field(default_factory=list)
    """Pictures of the exporters before this one."""
    problems: list[str] = field(default_factory=list)
    """One sentence for each damaged file and for what was left out, so far."""


@dataclass(frozen=True)
class Export:
    """The files of one format."""

    files: Mapping[str, Content]
    """Content by path in the report's folder."""
    pictures: list[Picture] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """One sentence for each thing that is missing from the files."""


class Exporter(Protocol):
    """One export format: a module of this package with a function `export`."""

    def export(self, report: Report) -> Export:
        """Return the format's files; nothing is written here."""
