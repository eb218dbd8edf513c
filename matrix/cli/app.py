"""The command line: `xffl-bench`, which is also `python -m matrix`.

Nothing here imports torch; what a command needs is imported when it is called.
"""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from matrix.cli.image import app as image_app
from matrix.errors import InputError, LostHostError
from matrix.host.processes import StuckError
from matrix.schedulers.slurm.commands import SlurmError
from matrix.store.claim import LostClaimError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Which way of spreading LLM training over nodes is really the best, and how far does it scale?",
)
data_app = typer.Typer(no_args_is_help=True, help="Make data sets.")
app.add_typer(data_app, name="data")
app.add_typer(image_app, name="image")

MatrixFile = Annotated[Path, typer.Argument(help="matrix file (YAML)", metavar="MATRIX")]
SweepPath = Annotated[Path, typer.Argument(help="folder of a sweep, e.g. results/demo", metavar="SWEEP")]
Results = Annotated[Path, typer.Option("--results", help="folder of all sweeps", metavar="DIR")]
Only = Annotated[
    list[str] | None, typer.Option("--only", help="keep these values of an axis", metavar="AXIS=VALUE[,VALUE]")
]
Except = Annotated[
    list[str] | None, typer.Option("--except", help="leave these values of an axis out", metavar="AXIS=VALUE[,VALUE]")
]
SystemOption = Annotated[
    str | None, typer.Option("--system", help="system file, in place of the matrix file's", metavar="FILE")
]


class Kind(StrEnum):
    """What has a schema."""

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
    """Options before the command."""


@app.command()
def plan(matrix: MatrixFile, system: SystemOption = None, only: Only = None, excepted: Except = None) -> None:
    """Show what will run, and what is skipped or the same as another, and why."""
    from matrix.cli.render import print_plan
    from matrix.planning.plan import check_data
    from matrix.planning.prepare import prepare

    prepared = prepare(matrix, system, only or [], excepted or [])
    print_plan(prepared, Console())
    try:
        check_data(prepared.planned)
    except InputError as error:  # a plan does without
        typer.echo(f"before it can run: {error}")


@app.command()
def run(
    matrix: MatrixFile,
    results: Results = Path("results"),
    system: SystemOption = None,
    only: Only = None,
    excepted: Except = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="print what would be started (on Slurm: write the jobs), and stop")
    ] = False,
    max_runs: Annotated[int | None, typer.Option("--max-runs", min=0, help="start at most N runs", metavar="N")] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="run again what did not complete")] = False,
    accept_changes: Annotated[
        bool, typer.Option("--accept-changes", help="go on although the matrix, the system or the software changed")
    ] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Slurm: submit, and do not wait")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Slurm: whatever it costs")] = False,
) -> None:
    """Run a sweep; run it again to go on where it stopped."""
    import os

    from matrix.batch.submit import run_in_jobs, write_jobs
    from matrix.cli.render import print_commands, print_jobs, print_summary
    from matrix.planning.plan import check_data
    from matrix.planning.prepare import prepare
    from matrix.runner.execute import execute
    from matrix.runner.requirements import check_wandb
    from matrix.schedulers.local import check_hosts
    from matrix.schedulers.slurm.allocation import held
    from matrix.store.sweep_folder import SweepFolder

    prepared = prepare(matrix, system, only or [], excepted or [])
    on_slurm = prepared.system.scheduler == "slurm"
    allocation = held(os.environ) if on_slurm else None
    if not on_slurm:
        check_hosts(prepared.selected_runs, prepared.system.xffl)
        for option, given in (("--detach", detach), ("--yes", yes)):
            if given:
                raise InputError(
                    f"{option}: system {prepared.system.name} has no jobs (scheduler: local): leave it out"
                )
    folder = SweepFolder(results / prepared.sweep.name)
    console = Console()
    if dry_run and not (on_slurm and allocation is None):
        print_commands(prepared, folder, console)
        return
    check_data(prepared.planned)
    check_wandb(prepared.selected_runs, prepared.image)
    if dry_run:
        print_jobs(write_jobs(prepared, folder, console, accept_changes=accept_changes), console)
        return

    def may_cost(hours: float) -> bool:
        return yes or (sys.stdin.isatty() and typer.confirm(f"submit, for up to {hours:.2f} node-hours?"))

    try:
        if on_slurm and allocation is None:
            summary = run_in_jobs(
                prepared,
                folder,
                console,
                max_runs=max_runs,
                retry_failed=retry_failed,
                accept_changes=accept_changes,
                detach=detach,
                may_cost=may_cost,
            )
        else:
            summary = execute(
                prepared,
                folder,
                console,
                held=allocation,
                max_runs=max_runs,
                retry_failed=retry_failed,
                accept_changes=accept_changes,
            )
    except KeyboardInterrupt:
        jobs = "; its jobs go on (xffl-bench cancel ends them)" if on_slurm and allocation is None else ""
        typer.echo(f"xffl-bench: interrupted{jobs}; run the same command again to go on", err=True)
        raise typer.Exit(130) from None
    if detach:
        console.print(f"how far it is: xffl-bench status {folder.path}", highlight=False)
        return
    print_summary(summary, folder, console, asked=len(prepared.selected))
    if not summary.all_completed(only_started=max_runs is not None):
        raise typer.Exit(1)


@app.command()
def cancel(sweep: SweepPath) -> None:
    """Cancel the jobs of a sweep on Slurm; what they have finished stays."""
    from matrix.batch.submit import cancel as cancel_jobs
    from matrix.store.sweep_folder import SweepFolder

    folder = SweepFolder(sweep)
    folder.plan()
    ids = cancel_jobs(folder)
    typer.echo(f"cancelled: {', '.join(ids)}" if ids else "this sweep has no job in the queue")


@app.command(hidden=True)
def job(path: Annotated[Path, typer.Argument(help="results/SWEEP/jobs/N", metavar="JOB")]) -> None:
    """Run the runs of a batch job, inside it; `job.sh` calls this."""
    from matrix.batch.job_process import run_job
    from matrix.cli.render import print_summary
    from matrix.store.jobs import JobFolder

    console = Console()
    try:
        summary = run_job(path, console)
    except KeyboardInterrupt:
        typer.echo("xffl-bench: told to end; what was under way runs again in another job", err=True)
        raise typer.Exit(130) from None
    print_summary(summary, JobFolder(path).sweep, console)


@app.command()
def status(sweep: SweepPath) -> None:
    """Show how far a sweep is."""
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
    image: Annotated[
        Path | None, typer.Option("--image", help="container image that ranks would run in", metavar="SIF")
    ] = None,
    results: Results = Path("results"),
    probe: Annotated[bool, typer.Option("--probe", help="try out again what the installed xFFL does")] = False,
) -> None:
    """Look whether all is there that a system needs: torch and devices, xFFL, hosts, containers, room."""
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


@data_app.command()
def synthetic(
    path: Annotated[Path, typer.Argument(help="folder to make", metavar="PATH")],
    vocab_size: Annotated[int, typer.Option("--vocab-size", min=2)] = 256,
    sequence_length: Annotated[int, typer.Option("--sequence-length", min=2, help="tokens trained per sample")] = 64,
    train_samples: Annotated[int, typer.Option("--train-samples", min=1)] = 8192,
    val_samples: Annotated[int, typer.Option("--val-samples", min=1)] = 256,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
) -> None:
    """Make a tokenised, packed data set from a Markov source whose entropy rate is known. Keeps one that is there."""
    from bench.data.dataset import SyntheticData, make_synthetic

    asked = SyntheticData(
        vocab_size=vocab_size,
        sequence_length=sequence_length,
        train_samples=train_samples,
        val_samples=val_samples,
        seed=seed,
    )
    try:
        made, entropy_rate = make_synthetic(path, asked)
    except (FileExistsError, ValueError) as error:
        raise InputError(str(error)) from error
    said = "made" if made else "was there already"
    typer.echo(f"{path} {said}: entropy rate {entropy_rate:.4f} nats per token, the floor of the loss")


@data_app.command()
def prepare(
    path: Annotated[Path, typer.Argument(help="folder to make", metavar="PATH")],
    sources: Annotated[
        list[str],
        typer.Argument(
            help="files, folders or globs of text, JSON lines or Parquet, or hub:OWNER/NAME[@REVISION][:PATTERN]",
            metavar="SOURCE...",
        ),
    ],
    sequence_length: Annotated[int, typer.Option("--sequence-length", min=2, help="tokens trained per sample")],
    tokenizer: Annotated[
        str,
        typer.Option("--tokenizer", help="folder, name on the hub, or train:SIZE for one trained on the text"),
    ],
    text_field: Annotated[
        str, typer.Option("--text-field", help="field or column that holds the text", metavar="NAME")
    ] = "text",
    document_separator: Annotated[
        str | None,
        typer.Option(
            "--document-separator",
            help="line between two documents of a text file (one per file); '' is an empty line",
            metavar="LINE",
        ),
    ] = None,
    val_fraction: Annotated[
        float, typer.Option("--val-fraction", help="share of the documents that goes to val", metavar="SHARE")
    ] = 0.01,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="processes (as many as this one may use cores)", metavar="N")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="of the division between train and val")] = 0,
    online: Annotated[bool, typer.Option("--online", help="ask the hub, not only its cache on this machine")] = False,
) -> None:
    """Make a tokenised, packed data set from real text. Again after a stop, it goes on; keeps one that is there."""
    import os

    from bench.data.corpus.display import Display
    from bench.data.corpus.errors import CorpusError, WorkerLostError
    from bench.data.corpus.prepare import Corpus
    from bench.data.corpus.prepare import prepare as prepare_corpus

    if not 0 < val_fraction < 1:
        raise InputError(f"--val-fraction {val_fraction}: should be between 0 and 1, for instance 0.01")
    asked = Corpus(
        sources=sources,
        tokenizer=tokenizer,
        sequence_length=sequence_length,
        text_field=text_field,
        document_separator=document_separator,
        val_fraction=val_fraction,
        seed=seed,
        workers=workers or len(os.sched_getaffinity(0)),
        online=online,
    )
    try:
        with Display(Console()) as display:
            prepared = prepare_corpus(path, asked, display)
    except CorpusError as error:
        raise InputError(str(error)) from error
    except WorkerLostError as error:
        typer.echo(f"xffl-bench: {error}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        typer.echo("xffl-bench: interrupted; run the same command again to go on", err=True)
        raise typer.Exit(130) from None
    facts, said = prepared.facts, "made" if prepared.made else "was there already"
    typer.echo(
        f"{path} {said}: {facts['splits']['train']:,} train and {facts['splits']['val']:,} val samples of "
        f"{facts['sequence_length']:,} tokens, from {sum(facts['documents'].values()):,} documents "
        f"({sum(facts['text_bytes'].values()) / sum(facts['tokens'].values()):.2f} bytes per token); "
        f"vocabulary of {facts['vocab_size']:,}"
    )


def main() -> None:
    """Entry point: bad input is a sentence and exit status 2, a fault of storage one and 1."""
    try:
        app()
    except InputError as error:
        print(f"xffl-bench: {error}", file=sys.stderr)
        sys.exit(2)
    except (LostClaimError, LostHostError, StuckError, SlurmError) as error:
        print(f"xffl-bench: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        print(
            f"xffl-bench: {error.filename or 'a file'}: {error.strerror}; every finished run is kept: "
            "put that right and run the same command again",
            file=sys.stderr,
        )
        sys.exit(1)
