"""The command `nightly`: a night as a whole."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from matrix.cli.screen import screen
from matrix.errors import InputError, LostClaimError, LostHostError, SchedulerError
from reports.data.words import counted

if TYPE_CHECKING:
    from matrix.nightly.night import Tonight
    from matrix.planning.prepare import PreparedSweep


def nightly(
    config: Annotated[Path, typer.Argument(help="nightly file (YAML)", metavar="CONFIG")],
    night: Annotated[
        str | None, typer.Option("--night", help="date of the night (that of twelve hours ago)", metavar="DATE")
    ] = None,
    no_run: Annotated[
        bool, typer.Option("--no-run", help="report and compare what has run, and start nothing")
    ] = False,
    accept: Annotated[
        bool, typer.Option("--accept", help="only mark the night as good: later ones are compared with it")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="print what would be run, compared and deleted, and do nothing")
    ] = False,
) -> None:
    """Run a night: sweep, report, comparison.

    It is compared with the last good night and told of, and earlier nights are pruned. The exit status is 0 if it was
    good.
    """
    from matrix.nightly.night import Tonight
    from matrix.nightly.nightly_file import load_nightly
    from matrix.nightly.record import NightStatus, is_date, night_of
    from matrix.planning.prepare import prepare
    from matrix.store.sweep_folder import SweepFolder

    if accept and (dry_run or no_run):
        raise InputError(f"--accept only marks a night as good: leave {'--dry-run' if dry_run else '--no-run'} out")
    file = load_nightly(config)
    if night is not None and not is_date(night):
        raise InputError(f"--night {night}: should be a date such as 2030-01-31")
    prepared = prepare(Path(file.matrix), file.system, [], [], file.set)
    tonight = Tonight(file, prepared.sweep.name, night or night_of(datetime.now()))
    if accept:
        tonight.accept()
        typer.echo(f"{tonight.folder}: later nights are compared with it")
        return
    pruned = tonight.pruned()  # reads the golden values: a file that is not there should not wait for the morning
    if dry_run:
        good = tonight.good
        results = map(SweepFolder(tonight.folder).result, prepared.selected)
        ahead = sum(result is None or not result.outcome.is_final for result in results)
        typer.echo(f"would run {counted(ahead, 'run')} in {tonight.folder}")
        typer.echo(f"would compare with {good.folder if good else 'nothing: there is no good night yet'}")
        for each in pruned:
            typer.echo(f"would delete {each.path} ({each.reason})")
        return
    if no_run and not SweepFolder(tonight.folder).plan_file.is_file():
        raise InputError(f"--no-run: {tonight.folder} is not the folder of a sweep: leave it out, or choose a --night")
    try:
        trouble = "" if no_run else _run(prepared, tonight)
    except InputError as error:
        if problem := tonight.tell(NightStatus.INCOMPLETE, [f"{tonight.date}: incomplete", *str(error).splitlines()]):
            typer.echo(f"xffl-bench: {problem}", err=True)
        raise
    record, problems = tonight.finish(trouble)
    console = screen()
    for line in record.summary:
        console.print(line, highlight=False)
    for problem in problems:
        typer.echo(f"xffl-bench: {problem}", err=True)
    if problems or not record.is_good:
        raise typer.Exit(1)


def _run(prepared: PreparedSweep, tonight: Tonight) -> str:
    """Run the sweep, or resume it; return why not all of its runs could be made, or "".

    Raises:
        InputError: something that runs need is missing, or the night was started with other files.

    """
    from matrix.cli.backends import RunOptions, backend_of
    from matrix.host.processes import StuckError
    from matrix.runner.progress import Detail
    from matrix.store.sweep_folder import SweepFolder

    options = RunOptions(
        max_runs=None,
        retry_failed=False,
        accept_changes=False,
        detach=False,
        may_cost=lambda _: True,  # nobody is there to ask
        detail=Detail.OUTCOMES,
    )
    folder = SweepFolder(tonight.folder)
    try:
        summary = backend_of(prepared, folder, screen(), options, costs_confirmed=False).run()
    except KeyboardInterrupt:
        typer.echo("xffl-bench: interrupted; run the same command again to resume the night", err=True)
        raise typer.Exit(130) from None
    except (LostClaimError, LostHostError, StuckError, SchedulerError) as error:
        return str(error)
    except OSError as error:
        return f"{error.filename or 'a file'}: {error.strerror}"
    return "; ".join(dict.fromkeys(f"runs left: {reason}" for reason in summary.left.values()))
