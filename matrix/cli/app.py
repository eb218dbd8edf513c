"""The command line: `xffl-bench`, which is also `python -m matrix`.

Nothing here imports torch; commands import what they need when they are called.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from matrix.cli.arguments import Except, MatrixFile, Only, Results, SweepPath, SystemOption
from matrix.cli.data import app as data_app
from matrix.cli.image import app as image_app
from matrix.cli.run import cancel, job, run
from matrix.errors import InputError, LostHostError, SchedulerError
from matrix.host.processes import StuckError
from matrix.host.search_path import clean_search_path
from matrix.store.claim import LostClaimError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Compare strategies of distributed LLM training (FSDP, HSDP, federated) and measure how far they scale.",
)
app.add_typer(data_app, name="data")
app.add_typer(image_app, name="image")


class Kind(StrEnum):
    """File with a schema."""

    MATRIX = "matrix"
    SYSTEM = "system"


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"xffl-bench {version('xffl-bench')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version and exit")
    ] = False,
) -> None:
    """Handle the options before the command."""


@app.command()
def plan(
    matrix: MatrixFile,
    system: SystemOption = None,
    only: Only = None,
    excepted: Except = None,
    results: Results = Path("results"),
) -> None:
    """Show which runs will be executed, and which are skipped or identical to others, and why; what they can show and
    what they cost.
    """
    from matrix.cli.forecast import print_cost, print_power, print_searches, refused_runs
    from matrix.cli.render import print_plan
    from matrix.planning.plan import check_data
    from matrix.planning.prepare import prepare
    from matrix.store.ahead import searching
    from matrix.store.sweep_folder import SweepFolder

    prepared, console = prepare(matrix, system, only or [], excepted or []), Console()
    folder = SweepFolder(results / prepared.sweep.name)
    print_plan(prepared, refused_runs(prepared, folder), console)
    result = cache(folder.result if folder.path.exists() else lambda run_id: None)
    ahead = searching(folder)
    parts: tuple[Callable[[], None], ...] = (
        lambda: print_power(prepared, result, console),
        lambda: print_searches(prepared, ahead, console),
        lambda: print_cost(prepared, result, ahead, console),
        lambda: check_data(prepared.planned),
    )
    for part in parts:
        try:
            part()
        except InputError as error:  # planning needs no data
            typer.echo(f"before it can run: {error}")


app.command()(run)
app.command()(cancel)
app.command(hidden=True)(job)


@app.command()
def status(sweep: SweepPath) -> None:
    """Show the progress of a sweep."""
    from matrix.cli.render import print_status
    from matrix.store.sweep_folder import SweepFolder

    print_status(SweepFolder(sweep), Console())


@app.command()
def report(
    sweep: SweepPath,
    out: Annotated[
        Path | None, typer.Option("--out", help="folder of the report (SWEEP/report)", metavar="DIR")
    ] = None,
) -> None:
    """Write tables, plots and the data frame of a sweep, and print the tables."""
    from reports.data.frame import ReportError
    from reports.render.terminal import print_report
    from reports.render.write import write_report

    try:
        print_report(write_report(sweep, out or sweep / "report"), Console())
    except ReportError as error:
        raise InputError(str(error)) from error


@app.command()
def check(
    system: Annotated[
        str, typer.Option("--system", help="system file, or a built-in system", metavar="FILE")
    ] = "local",
    image: Annotated[Path | None, typer.Option("--image", help="container image for ranks", metavar="SIF")] = None,
    results: Results = Path("results"),
    probe: Annotated[bool, typer.Option("--probe", help="probe the installed xFFL library again")] = False,
) -> None:
    """Check what a system needs: torch, devices, xFFL, schedulers, hosts, containers, disk space."""
    from matrix.check.everything import check as check_all
    from matrix.config.system import BUILT_IN, built_in_path, load_system

    path = built_in_path(system) if system in BUILT_IN else Path(system)
    if not check_all(load_system(path), image, results, Console(), anew=probe):
        raise typer.Exit(1)


@app.command()
def schema(kind: Kind) -> None:
    """Print the JSON Schema of the matrix or the system file, for editors."""
    from matrix.config.schema import schema as schema_of

    typer.echo(json.dumps(schema_of(kind.value), indent=2))


def main() -> None:
    """Run the command line. Bad input exits with status 2 and other expected errors with 1, each with one sentence."""
    clean_search_path()
    gc.set_threshold(100_000)  # of a large sweep's time, half went into looking for cycles among objects that stay
    try:
        app()
    except InputError as error:
        print(f"xffl-bench: {error}", file=sys.stderr)
        sys.exit(2)
    except (LostClaimError, LostHostError, StuckError, SchedulerError) as error:
        print(f"xffl-bench: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        print(
            f"xffl-bench: {error.filename or 'a file'}: {error.strerror}; finished runs are kept: "
            "fix this and run the same command again",
            file=sys.stderr,
        )
        sys.exit(1)
