"""The command `plan`: what a sweep will run, for people and as JSON."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import typer

from matrix.cli.arguments import (
    RESULTS,
    Assignments,
    Except,
    Json,
    MatrixFile,
    Only,
    OnlySuspects,
    Results,
    SystemOption,
)
from matrix.cli.screen import screen
from matrix.errors import InputError


def plan(
    matrix: MatrixFile,
    assignments: Assignments = None,
    system: SystemOption = None,
    only: Only = None,
    excepted: Except = None,
    only_suspects: OnlySuspects = None,
    results: Results = RESULTS,
    as_json: Json = False,
) -> None:
    """Show what will run, and what will not.

    Which runs will be executed, and which are skipped or identical to others, and why; what they can show and what they
    cost.
    """
    from matrix.cli.planned.forecast import print_cost, print_crowding, print_power, print_searches, refused_runs
    from matrix.cli.planned.plan_document import plan_document
    from matrix.cli.render import print_plan
    from matrix.planning.prepare import prepare
    from matrix.planning.ready import lacking
    from matrix.store.ahead import searching
    from matrix.store.sweep_folder import SweepFolder

    prepared = prepare(matrix, system, only or [], excepted or [], assignments or [], only_suspects=only_suspects)
    console = screen()
    folder = SweepFolder(results / prepared.sweep.name)
    refused = refused_runs(prepared, folder)
    result = cache(folder.result if folder.path.exists() else lambda run_id: None)
    ahead = searching(folder)
    if as_json:
        typer.echo(plan_document(prepared, refused, result, ahead).model_dump_json(indent=2))
        return
    print_plan(prepared, refused, console)
    parts: tuple[Callable[[], None], ...] = (
        lambda: print_crowding(prepared, console),
        lambda: print_power(prepared, result, console),
        lambda: print_searches(prepared, ahead, console),
        lambda: print_cost(prepared, result, ahead, console),
    )
    for part in parts:
        try:
            part()
        except InputError as error:  # planning needs no data
            typer.echo(f"before it can run: {error}")  # its command stays on one line
    for sentence in lacking(prepared):
        typer.echo(f"before it can run: {sentence}")
