"""Make the plan of a sweep on a system: all cells, and all runs in the order of execution."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from bench.contract.base import AxisValue
from bench.contract.layout import ImpossibleError
from bench.contract.plan import Cell, Plan
from bench.contract.run import Run
from matrix.config.sweep import LARGEST_SWEEP, MatrixFile
from matrix.config.system import SystemFile
from matrix.errors import InputError
from matrix.planning.combinations.collapse import Resolved, collapse, why_same
from matrix.planning.combinations.expand import Point, expand
from matrix.planning.combinations.run_ids import run_id
from matrix.planning.resolve import Resolver
from matrix.planning.untimed import ENGINES_WITH_PARTS, untimed


@dataclass(frozen=True)
class PlannedSweep:
    """A plan and its runs by id."""

    plan: Plan
    runs: dict[str, Run]


def make_plan(sweep: MatrixFile, system: SystemFile) -> PlannedSweep:
    """Expand, resolve, collapse and order a sweep.

    Raises:
        InputError: no combination can run, or there are more runs than can be planned.

    """
    points = expand(sweep.labels, sweep.exclude, [lists.labels for lists in sweep.include])
    outcomes = _resolve_all(points, sweep, system)
    resolved = [outcome for outcome in outcomes if isinstance(outcome, Resolved)]
    if not resolved:
        raise InputError(_nothing_runs(sweep, points, outcomes))
    executed = collapse(resolved)
    if (count := len(executed) * (sweep.repeats + sweep.breakdown)) > LARGEST_SWEEP:
        raise InputError(
            f"sweep {sweep.name}: {sweep.repeats + sweep.breakdown:,} repeats of {len(executed):,} combinations are "
            f"{count:,} runs, more than {LARGEST_SWEEP:,}: lower `repeats`, or shorten the longest axes"
        )
    first = {axis: labels[0] for axis, labels in sweep.labels.items()}
    runs = {identity: _repeats(cell, sweep.repeats, first) for identity, cell in executed.items()}
    parts = {
        identity: untimed(cell.run, "breakdown", sweep.breakdown, first)
        for identity, cell in executed.items()
        if cell.run.engine in ENGINES_WITH_PARTS
    }
    by_id = {run.id: run for repeats in (*runs.values(), *parts.values()) for run in repeats}
    cells = [_cell(point, outcome, executed, runs, parts) for point, outcome in zip(points, outcomes, strict=True)]
    plan = Plan(
        sweep=sweep.name,
        axes=sweep.all_labels,
        compare=sweep.compared,
        best_of=list(sweep.best_of),
        reference=_reference(sweep, points),
        regime=sweep.regime,
        repeats=sweep.repeats,
        target_loss=sweep.target_loss,
        cells=cells,
        order=[*_order(list(runs.values()), sweep), *_order(list(parts.values()), sweep)],
    )
    return PlannedSweep(plan, by_id)


def _resolve_all(points: list[Point], sweep: MatrixFile, system: SystemFile) -> list[Resolved | str]:
    """Return what each combination resolves to, or the reason why it is impossible."""
    resolver, strategies = Resolver(sweep, system), sweep.strategy_settings
    outcomes: list[Resolved | str] = []
    for point in points:
        try:
            run = resolver.run(point)
        except ImpossibleError as reason:
            outcomes.append(str(reason))
        else:
            outcomes.append(Resolved(point, strategies[str(point["strategy"])][0], run, run.identity()))
    return outcomes


def _nothing_runs(sweep: MatrixFile, points: list[Point], outcomes: list[Resolved | str]) -> str:
    if not points:
        return f"sweep {sweep.name}: exclude leaves no combination: remove an exclusion"
    reasons = "; ".join(dict.fromkeys(str(outcome) for outcome in outcomes))
    return f"sweep {sweep.name}: none of the {len(points)} combinations can run: {reasons}"


def _cell(
    point: Point,
    outcome: Resolved | str,
    executed: dict[str, Resolved],
    runs: dict[str, list[Run]],
    parts: dict[str, list[Run]],
) -> Cell:
    if isinstance(outcome, str):
        return Cell(labels=point, status="impossible", reason=outcome)
    chosen = executed[outcome.identity]
    is_run = chosen is outcome
    return Cell(
        labels=point,
        status="run" if is_run else "same",
        layout=outcome.run.layout,
        canonical=outcome.canonical,
        same_as={axis: value for axis, value in chosen.point.items() if value != point[axis]},
        reason="" if is_run else why_same(outcome, chosen),
        runs=[run.id for run in runs[outcome.identity]],
        breakdown_runs=[run.id for run in parts.get(outcome.identity, [])],
    )


def _repeats(cell: Resolved, repeats: int, first: dict[str, AxisValue]) -> list[Run]:
    runs = []
    for repeat in range(repeats):
        run = cell.run.model_copy(update={"repeat": repeat})
        digest = run.identity() if repeat else cell.identity
        runs.append(run.model_copy(update={"id": run_id(run, digest, first)}))
    return runs


def _order(runs: list[list[Run]], sweep: MatrixFile) -> Iterator[str]:
    """Yield run ids: all of the first repeat in random order, then all of the second, and so on.

    The repeats of a combination are thus far apart. If the machine slows down during the sweep, all combinations are
    affected alike: drift shows as variation between repeats and not as a difference between strategies.
    """
    for repeat in range(max(map(len, runs), default=0)):
        ids = [repeats[repeat].id for repeats in runs]
        random.Random(f"{sweep.seed}.{repeat}").shuffle(ids)
        yield from ids


def _reference(sweep: MatrixFile, points: list[Point]) -> dict[str, AxisValue]:
    """Return the reference: the first combination with the given values, of strategy fsdp if there is one.

    Raises:
        InputError: no combination has these values.

    """
    given = sweep.reference.labels
    having = [point for point in points if all(point[axis] == label for axis, label in given.items())]
    if not having:
        asked = ", ".join(f"{axis} {label}" for axis, label in given.items())
        raise InputError(f"reference: no combination of the sweep has {asked}")
    of_strategies = "strategy" in sweep.compared
    first = min(having, key=lambda point: (of_strategies and point["strategy"] != "fsdp", point["nodes"]))
    return {axis: first[axis] for axis in (*sweep.compared, "nodes")}
