"""The command `history`: metrics over nights, and where their level changed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from matrix.cli.arguments import RESULTS, Json, find_sweep
from matrix.cli.reporting.compare import Tolerance, tolerances_of
from matrix.cli.screen import screen
from matrix.errors import InputError


def history(
    sweeps: Annotated[
        list[Path], typer.Argument(help="folders of sweeps of one matrix, e.g. results/*/nightly", metavar="FOLDERS...")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help=f"folder of the plot ({RESULTS / 'history'})", metavar="DIR")
    ] = None,
    tolerance: Tolerance = None,
    as_json: Json = False,
) -> None:
    """Show metrics over nights, and where they changed.

    Each change of level is printed with the commit, packages, image and driver that changed there, and plotted.
    """
    from bench.contract.storage.atomic import write_whole
    from reports.data.faults import ReportError
    from reports.history.history import history as history_of
    from reports.history.history_summary import summary
    from reports.history.plot import history_plot
    from reports.render.plotting.plots import drawn

    try:
        found = history_of([find_sweep(sweep) for sweep in sweeps], tolerances_of(tolerance or []))
    except ReportError as error:
        raise InputError(str(error)) from error
    folder = out or (None if as_json else RESULTS / "history")
    figure = history_plot(found) if folder else None
    if folder and figure:
        folder.mkdir(parents=True, exist_ok=True)
        for kind in ("svg", "png"):
            write_whole(folder / f"history.{kind}", drawn(figure, kind))
    if as_json:
        typer.echo(found.model_dump_json(indent=2))
        return
    console = screen()
    for line in summary(found):
        console.print(line, highlight=False)
    if folder and figure:
        console.print(f"plot: {folder / 'history.svg'}", highlight=False)
