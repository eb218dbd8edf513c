"""Write the report of a sweep in every export format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from bench.contract.storage.atomic import write_whole
from reports.answers.answers import answers
from reports.cells.comparability import Comparability
from reports.cells.figures import tally
from reports.cells.targets import target_columns
from reports.data.columns.target import TARGET
from reports.data.faults import ReportError
from reports.data.frame import LoadedSweep, load, with_columns
from reports.data.words import counted
from reports.render.base import Export, Exporter, Report
from reports.render.exporters import EXPORTERS
from reports.render.html.page import FILE as PAGE
from reports.render.markdown import REPORT
from reports.render.plotting.at_work import at_work
from reports.render.plotting.plots import MOST_PLOTTED
from reports.tables.job_cost import cost
from reports.tables.selection import Selection
from reports.tables.tables import Table, each_table


@dataclass(frozen=True)
class WrittenReport:
    """A report on disk, with what to print of it."""

    report: Path
    """The file to read first, report.md; the folder if that format was not asked for."""
    readable: list[Path]
    """The files to read: report.md and report.html; the folder if neither was asked for."""
    files: list[Path]
    """All files written."""
    sweep: LoadedSweep
    """What was read, whatever the selection."""
    tables: list[Table]
    summary: str
    """Outcomes of the runs, and the cost of the jobs."""
    answers: list[str]
    """What was found, in sentences."""
    cautions: list[str]
    """Each caution of any table once, with its remedy."""
    problems: list[str]
    """One sentence for each damaged file and for what was left out."""


def write_report(
    sweep: Path, out: Path, exporters: Sequence[Exporter] = EXPORTERS, selection: Selection | None = None
) -> WrittenReport:
    """Write the report of the sweep in folder `sweep`, or what is selected of it, to folder `out`.

    Raises:
        ReportError: the sweep cannot be read, or the report cannot be written.

    """
    loaded = load(sweep)
    comparability = Comparability(loaded)
    making = _each(comparability, selection)
    # The plots are of the first tables: while they are drawn, the others are made.
    first = list(_until_shown(making, MOST_PLOTTED))
    with at_work(exporters, Report(sweep, loaded, [part for _, part in first if part is not None], "")) as begun:
        every = [*first, *making]
        loaded = with_columns(loaded, TARGET, target_columns(table.grid for table, _ in every))
        shown = loaded if selection is None else selection.sweep(loaded)
        made = [part for _, part in every if part is not None]
        found = answers(comparability, [table for table, part in every if part is not None])
        summary = _summary(shown, loaded, selection.text if selection else "")
        report = Report(sweep, shown, made, summary, found, problems=loaded.problems)
        names: list[str] = []
        for exporter in begun:
            export = exporter.export(report)
            _write(export, out)
            names += export.files
            report = replace(
                report,
                pictures=[*report.pictures, *export.pictures],
                problems=[*report.problems, *export.problems],
            )
    cautions = dict.fromkeys(caution for table in made for caution in table.cautions)
    return WrittenReport(
        report=out / REPORT if REPORT in names else out,
        readable=[out / name for name in (REPORT, PAGE) if name in names] or [out],
        files=[out / name for name in names],
        sweep=loaded,
        tables=made,
        summary=report.summary,
        answers=report.answers,
        cautions=[f"{caution}: {caution.meaning}; {caution.remedy}." for caution in cautions],
        problems=report.problems,
    )


_Made = tuple[Table, Table | None]
"""A table, and what is shown of it; None for nothing."""


def _each(comparability: Comparability, selection: Selection | None) -> Iterator[_Made]:
    for table in each_table(comparability):
        yield table, table if selection is None else selection.table(table, comparability.sweep.plan)


def _until_shown(making: Iterator[_Made], count: int) -> Iterator[_Made]:
    """Yield tables until `count` are shown."""
    for table, part in making:
        yield table, part
        count -= part is not None
        if not count:
            return


def _summary(shown: LoadedSweep, every: LoadedSweep, selection: str) -> str:
    """Return the outcomes of the shown runs, how many of all these are, and the cost of the jobs."""

    def count(runs: pd.DataFrame, of: pd.DataFrame, noun: str) -> str:
        whole = len(runs) == len(of) and not selection
        return counted(len(of), noun) if whole else f"{len(runs)} of {counted(len(of), noun)}"

    runs = count(shown.frame, every.frame, "run") + (f" (selection: {selection})" if selection else "")
    outcomes = f"Sweep {shown.plan.sweep}, {runs}: {tally(list(shown.frame['outcome']))}"
    if len(shown.breakdown):
        breakdown = count(shown.breakdown, every.breakdown, "breakdown run")
        outcomes += f"; {breakdown}: {tally(list(shown.breakdown['outcome']))}"
    return f"{outcomes}. {cost(shown)}" if shown.jobs else outcomes


def _write(export: Export, out: Path) -> None:
    """Write the files of one format: those of all together would take gigabytes of memory in large sweeps."""
    try:
        for name, content in export.files.items():
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            write_whole(out / name, content)
    except OSError as error:
        raise ReportError(
            f"the report cannot be written to {out}: {error.strerror or error}: choose another folder with --out"
        ) from error
