"""`xffl-bench report`."""

from __future__ import annotations

import gc
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from matrix.cli.arguments import Only, SweepPath, find_sweep
from matrix.cli.screen import screen
from matrix.errors import InputError, suggestion
from reports.render.formats import DEFAULT, Format


def report(
    sweep: SweepPath,
    out: Annotated[
        Path | None, typer.Option("--out", help="folder of the report (SWEEP/report)", metavar="DIR")
    ] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            help=f"files to write: {', '.join(Format)} ({','.join(DEFAULT)})",
            metavar="NAME[,NAME]",
        ),
    ] = None,
    metrics: Annotated[
        list[str] | None,
        typer.Option("--metric", help="show only these metrics, named as in tables.csv", metavar="KEY[,KEY]"),
    ] = None,
    only: Only = None,
) -> None:
    """Write and print the report of a sweep.

    Tables, plots and the data frame are written; the tables are printed. A selection by --metric and --only changes no
    figure: ratios stay relative to the sweep's reference.
    """
    from matrix.planning.filters import keeps, parse_filter
    from matrix.store.sweep_folder import SweepFolder
    from reports.cells.metrics import BY_KEY
    from reports.data.faults import ReportError
    from reports.render.exporters import exporters
    from reports.render.terminal import print_report
    from reports.render.write import write_report
    from reports.tables.selection import Selection

    gc.disable()  # what a report reads stays to its end: only plots leave cycles, and those are few
    folder = find_sweep(sweep)
    selection = Selection(metrics=_words(metrics, "--metric", BY_KEY) or None)
    if only:
        selection = replace(selection, keeps=keeps(SweepFolder(folder).plan(), map(parse_filter, only)), filters=only)
    chosen = [Format(name) for name in _words(formats, "--format", list(Format))] or DEFAULT
    try:
        written = write_report(
            folder, out or folder / "report", exporters(chosen), selection if only or metrics else None
        )
    except ReportError as error:
        raise InputError(str(error)) from error
    print_report(written, screen())


def _words(given: list[str] | None, option: str, known: Iterable[str]) -> list[str]:
    """Return the words of an option that may be repeated and may hold several, separated by commas.

    Raises:
        InputError: a word is not known.

    """
    words = [word.strip() for each in given or () for word in each.split(",")]
    for word in words:
        if word not in (names := list(known)):
            raise InputError(f"{option}: {word!r} is not one{suggestion(word, names)}")
    return words
