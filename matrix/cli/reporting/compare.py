"""The command `compare`: what changed between two nights, or from golden values."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from matrix.cli.arguments import Json, SweepPath, find_sweep
from matrix.cli.screen import screen
from matrix.errors import InputError, suggestion
from reports.data.words import counted

Tolerance = Annotated[
    list[str] | None,
    typer.Option(
        "--tolerance",
        help="change that does not matter, in percent (2; loss_validation=0.5)",
        metavar="[METRIC=]PERCENT",
    ),
]


def compare(
    sweep: SweepPath,
    new: Annotated[
        Path | None, typer.Argument(help="the newer sweep, which is compared with it", metavar="[NEW]")
    ] = None,
    against: Annotated[
        Path | None, typer.Option("--against", help="compare SWEEP with golden values instead", metavar="FILE")
    ] = None,
    accept: Annotated[
        Path | None, typer.Option("--accept", help="write the figures of SWEEP as golden values", metavar="FILE")
    ] = None,
    tolerance: Tolerance = None,
    fail_on_improvement: Annotated[
        bool, typer.Option("--fail-on-improvement", help="exit with 1 on an improvement beyond the tolerance, too")
    ] = False,
    as_json: Json = False,
) -> None:
    """Compare two sweeps, or a sweep with golden values.

    Throughput, memory, loss and energy of each combination that both have. The exit status is 1 if one regressed.
    """
    if sum(given is not None for given in (new, against, accept)) != 1:
        raise InputError("compare: needs OLD and NEW, or one sweep with --against FILE or --accept FILE")
    tolerances = tolerances_of(tolerance or [])
    if tolerances and new is None:
        raise InputError("--tolerance: golden values have their own: change `lower` and `upper` in their file")
    if accept is not None:
        _check_unused(as_json=as_json, fail_on_improvement=fail_on_improvement)
    from reports.data.faults import ReportError
    from reports.nights.combinations import Night
    from reports.nights.comparing import compare_nights
    from reports.nights.golden import accept as accept_night
    from reports.nights.golden import compare_with_golden
    from reports.nights.summary import summary

    folder = find_sweep(sweep)
    try:
        if accept is not None:
            made = accept_night(accept, Night.of(folder))
            typer.echo(f"{accept}: golden values of {counted(len(made.combinations), 'combination')}")
            return
        if against is not None:
            found = compare_with_golden(against, Night.of(folder))
        else:
            assert new is not None, "one of them is given"
            found = compare_nights(Night.of(folder), Night.of(find_sweep(new)), tolerances)
    except ReportError as error:
        raise InputError(str(error)) from error
    if as_json:
        typer.echo(found.model_dump_json(indent=2))
    else:
        console = screen()
        for line in summary(found):
            console.print(line, highlight=False)
    if not found.compares:  # a gate that compares nothing should not pass
        raise InputError(f"{found.old} and {found.new}: nothing can be compared: {found.why_not}")
    if found.has_failed(on_improvement=fail_on_improvement):
        raise typer.Exit(1)


def _check_unused(*, as_json: bool, fail_on_improvement: bool) -> None:
    """Raise InputError for an option that does nothing where golden values are written."""
    for option, given in (("--json", as_json), ("--fail-on-improvement", fail_on_improvement)):
        if given:
            raise InputError(f"{option}: --accept compares nothing: leave one of them out")


def tolerances_of(given: list[str]) -> dict[str, float]:
    """Return relative tolerances by metric from `PERCENT` and `METRIC=PERCENT`, of which the latter win.

    Raises:
        InputError: the metric is unknown, or the number is none.

    """
    from reports.nights.night_metrics import METRIC_BY_KEY

    found: dict[str, float] = {}
    for text in sorted(given, key=lambda each: "=" in each):
        metric, equals, number = text.rpartition("=")
        if equals and metric not in METRIC_BY_KEY:
            raise InputError(f"--tolerance {text}: not a metric{suggestion(metric, METRIC_BY_KEY)}")
        try:
            percent = float(number)
        except ValueError:
            percent = -1.0
        if not 0 <= percent < 100:
            raise InputError(f"--tolerance {text}: {number!r} should be a percentage from 0 to 100, such as 2")
        found |= dict.fromkeys([metric] if equals else METRIC_BY_KEY, percent / 100)
    return found
