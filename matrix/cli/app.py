"""The command line: `xffl-bench`, which is also `python -m matrix`.

Nothing here imports torch; commands import what they need when they are called.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from matrix.cli.arguments import (
    RESULTS,
    Assignments,
    Except,
    MatrixFile,
    Only,
    Results,
    SweepPath,
    SystemOption,
    find_sweep,
)
from matrix.cli.data import app as data_app
from matrix.cli.image import app as image_app
from matrix.cli.run import cancel, job, run
from matrix.errors import InputError, LostHostError, SchedulerError
from matrix.host.processes import StuckError
from matrix.host.search_path import clean_search_path
from matrix.store.claim import LostClaimError

app = typer.Typer(
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
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

        from bench.host.software.code_state import code_state

        code = code_state()
        of_checkout = f", commit {code.commit}" if code.commit else ""
        typer.echo(f"xffl-bench {version('xffl-bench')}{of_checkout}{', uncommitted changes' if code.dirty else ''}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="print the version and the commit, and exit"),
    ] = False,
) -> None:
    """Handle the options before the command."""


@app.command()
def plan(
    matrix: MatrixFile,
    assignments: Assignments = None,
    system: SystemOption = None,
    only: Only = None,
    excepted: Except = None,
    results: Results = RESULTS,
) -> None:
    """Show what will run, and what will not.

    Which runs will be executed, and which are skipped or identical to others, and why; what they can show and what they
    cost.
    """
    from matrix.cli.forecast import print_cost, print_power, refused_runs
    from matrix.cli.render import print_plan
    from matrix.planning.plan import check_data
    from matrix.planning.prepare import prepare
    from matrix.store.sweep_folder import SweepFolder

    prepared, console = prepare(matrix, system, only or [], excepted or [], assignments or []), Console()
    folder = SweepFolder(results / prepared.sweep.name)
    print_plan(prepared, refused_runs(prepared, folder), console)
    result = cache(folder.result if folder.path.exists() else lambda run_id: None)
    parts: tuple[Callable[[], None], ...] = (
        lambda: print_power(prepared, result, console),
        lambda: print_cost(prepared, result, console),
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

    print_status(SweepFolder(find_sweep(sweep)), Console())


@app.command()
def report(
    sweep: SweepPath,
    out: Annotated[
        Path | None, typer.Option("--out", help="folder of the report (SWEEP/report)", metavar="DIR")
    ] = None,
) -> None:
    """Write and print the report of a sweep.

    Tables, plots and the data frame are written; the tables are printed.
    """
    from reports.data.frame import ReportError
    from reports.render.terminal import print_report
    from reports.render.write import write_report

    folder = find_sweep(sweep)
    try:
        print_report(write_report(folder, out or folder / "report"), Console())
    except ReportError as error:
        raise InputError(str(error)) from error


@app.command()
def check(
    system: Annotated[
        str, typer.Option("--system", help="system file, or a built-in system", metavar="FILE")
    ] = "local",
    image: Annotated[Path | None, typer.Option("--image", help="container image for ranks", metavar="SIF")] = None,
    results: Results = RESULTS,
    probe: Annotated[bool, typer.Option("--probe", help="probe the installed xFFL library again")] = False,
) -> None:
    """Check this machine for what a system needs.

    Torch, devices, xFFL, schedulers, hosts, containers, disk space.
    """
    from matrix.check.everything import check as check_all
    from matrix.config.system import BUILT_IN, built_in_path, load_system

    path = built_in_path(system) if system in BUILT_IN else Path(system)
    if not check_all(load_system(path), image, results, Console(), anew=probe):
        raise typer.Exit(1)


@app.command()
def schema(kind: Kind) -> None:
    """Print the JSON Schema of a file, for editors."""
    from matrix.config.schema import schema as schema_of

    typer.echo(json.dumps(schema_of(kind.value), indent=2))


def main() -> None:
    """Run the command line. Bad input exits with status 2 and other expected errors with 1, each with one sentence."""
    clean_search_path()
    try:
        app(prog_name="xffl-bench")
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
