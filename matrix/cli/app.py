"""The command line: `xffl-bench`, which is also `python -m matrix`.

Nothing here imports torch; commands import what they need when they are called.
"""

from __future__ import annotations

import gc
import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from matrix.cli.arguments import (
    RESULTS,
    Json,
    Results,
    SweepPath,
    find_sweep,
)
from matrix.cli.data import app as data_app
from matrix.cli.image import app as image_app
from matrix.cli.init import init
from matrix.cli.planned.plan import plan
from matrix.cli.reporting.compare import compare
from matrix.cli.reporting.export import export
from matrix.cli.reporting.history import history
from matrix.cli.reporting.nightly import nightly
from matrix.cli.reporting.report import report
from matrix.cli.run import cancel, job, run
from matrix.cli.screen import screen
from matrix.errors import InputError, LostClaimError, LostHostError, SchedulerError
from matrix.host.processes import StuckError
from matrix.host.search_path import clean_search_path

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


app.command()(init)
app.command()(plan)
app.command()(run)
app.command()(cancel)
app.command(hidden=True)(job)


@app.command()
def status(
    sweep: SweepPath,
    watched: Annotated[bool, typer.Option("--watch", "-w", help="look again until nothing more happens")] = False,
    as_json: Json = False,
) -> None:
    """Show the progress of a sweep.

    The exit status is 1 if a run failed, or a job whose runs nothing will make.
    """
    from matrix.cli.progress.display import print_status
    from matrix.cli.progress.look import look
    from matrix.cli.progress.watch import watch
    from matrix.store.sweep_folder import SweepFolder

    folder, console = SweepFolder(find_sweep(sweep)), screen()
    if watched and as_json:
        raise InputError("--watch and --json exclude each other: leave one out")
    try:
        found = watch(lambda: look(folder), console) if watched else look(folder)
    except KeyboardInterrupt:  # the usual end of watching
        raise typer.Exit(130) from None
    if as_json:
        typer.echo(found.model_dump_json(indent=2))
    else:
        print_status(found, console)
    if found.has_failures:
        raise typer.Exit(1)


app.command()(report)
app.command()(export)


app.command()(compare)
app.command()(history)
app.command()(nightly)


@app.command()
def check(
    system: Annotated[
        str, typer.Option("--system", help="system file, or a built-in system", metavar="FILE")
    ] = "local",
    image: Annotated[Path | None, typer.Option("--image", help="container image for ranks", metavar="SIF")] = None,
    results: Results = RESULTS,
    probe: Annotated[bool, typer.Option("--probe", help="probe the installed xFFL library again")] = False,
    as_json: Json = False,
) -> None:
    """Check this machine for what a system needs.

    Torch, devices, xFFL, schedulers, hosts, containers, disk space.
    """
    from matrix.check.everything import check as check_all
    from matrix.check.everything import document
    from matrix.config.system import load_system, system_path

    settings = load_system(system_path(system))
    if as_json:
        found = document(settings, image, results, anew=probe)
        typer.echo(found.model_dump_json(indent=2))
        is_ready = found.ready
    else:
        is_ready = check_all(settings, image, results, screen(), anew=probe)
    if not is_ready:
        raise typer.Exit(1)


@app.command()
def schema(kind: Annotated[Kind, typer.Argument(help="matrix or system")]) -> None:
    """Print the JSON Schema of a file, for editors."""
    from matrix.config.schema import schema as schema_of

    typer.echo(json.dumps(schema_of(kind.value), indent=2))


def main() -> None:
    """Run the command line. Bad input exits with status 2 and other expected errors with 1, each with one sentence."""
    clean_search_path()
    gc.set_threshold(100_000)  # of a large sweep's time, half went into looking for cycles among objects that stay
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
