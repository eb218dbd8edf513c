"""Print plans, summaries and the state of a sweep to a terminal."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from bench.contract.layout import Layout
from bench.contract.plan import Cell
from bench.contract.training import SETTINGS
from matrix.errors import as_text
from matrix.host.variables import environment
from matrix.image.image import entry_command
from matrix.launchers.torchrun import agent_command, orders
from matrix.launchers.xffl_scripts import Scripts
from matrix.launchers.xffl_site import find_site
from matrix.planning.combinations.crossing import crossing
from matrix.planning.prepare import PreparedSweep
from matrix.runner.runner import Summary
from matrix.store.sweep_folder import SweepFolder
from reports.data.words import counted

MOST_ROWS = 1_000
"""Combinations that a plan lists: laying out a row takes far longer than planning its run, and nobody reads so many."""


CombinationStatus = Literal["run", "same", "impossible", "refused"]


def status_of(cell: Cell, refused: Mapping[str, str]) -> CombinationStatus:
    """Return what becomes of a combination; `refused` has the reasons for runs that will not be started."""
    return "refused" if cell.status == "run" and refused.keys() & cell.runs else cell.status


def reason_of(cell: Cell, refused: Mapping[str, str]) -> str:
    """Return why a combination is not run itself, empty if it is."""
    return cell.reason or next((refused[run] for run in cell.runs if run in refused), "")


def print_plan(prepared: PreparedSweep, refused: Mapping[str, str], console: Console) -> None:
    """Print the first cells with their layouts and runs; below, each reason why cells are not run once.

    `refused` are the ids of runs that will not be started, with the reason.
    """
    plan = prepared.planned.plan
    chosen = set(prepared.selected)
    started = chosen - refused.keys()
    apart = started.intersection(run for cell in plan.cells for run in cell.breakdown_runs)
    varying = [axis for axis, values in plan.axes.items() if len(values) > 1 and axis not in SETTINGS]
    has_settings = any(plan.settings(cell.labels) for cell in plan.cells)
    rows: list[list[str]] = []
    reasons: dict[str, int] = {}
    shown = prepared.cells
    for place, cell in enumerate(shown):
        said = f"{len(started.intersection(cell.runs))}"
        if reason := reason_of(cell, refused):
            number = reasons.setdefault(reason, len(reasons) + 1)
            said = f"{_in_short(cell) if cell.reason else 'refused'} [{number}]"
        if place >= MOST_ROWS:
            continue
        settings = [", ".join(f"{axis} {as_text(value)}" for axis, value in plan.settings(cell.labels).items())]
        named = [as_text(cell.labels[axis]) for axis in varying] + settings * has_settings
        rows.append([*named, _numbers(cell.layout), said])
    titles = [*varying, *["settings"] * has_settings, "F x R x S", "runs"]
    if _width([titles, *rows]) > console.width:
        titles = [title.replace("_", "_\n").replace("F x ", "F x\n") for title in titles]
    console.print(_table(titles, rows, title=f"sweep {plan.sweep}"))
    if len(shown) > MOST_ROWS:
        console.print(f"{len(shown) - MOST_ROWS:,} more combinations: show them with --only AXIS=VALUE")
    console.print("F x R x S: federated groups x replicas in a group x ranks that share a replica", highlight=False)
    for reason, number in reasons.items():
        console.print(f"[{number}] {reason}", highlight=False)
    everywhere = [f"{axis} {as_text(values[0])}" for axis, values in plan.axes.items() if len(values) == 1]
    if everywhere:
        console.print(f"everywhere: {', '.join(everywhere)}", highlight=False)
    if without := sum(cell.status == "run" and not cell.breakdown_runs for cell in shown if prepared.sweep.breakdown):
        console.print(
            f"breakdown: engine xffl does not note the parts of a step: no breakdown runs of {without} combinations",
            highlight=False,
        )
    for line in crossing(prepared.planned.runs[run] for run in plan.order if run in chosen):
        console.print(line, highlight=False)
    counts = Counter(status_of(cell, refused) for cell in shown)
    console.print(
        f"{counted(len(started - apart), 'run')} of {counted(counts['run'], 'combination')}, "
        f"{counted(plan.repeats, 'repeat')}; equivalent to another combination: {counts['same']}; "
        f"impossible: {counts['impossible']}"
        + (f"; refused: {counts['refused']}" if counts["refused"] else "")
        + (f"; filtered out: {len(plan.cells) - len(shown)}" if len(shown) < len(plan.cells) else "")
        + (f"; besides, not timed: {counted(len(apart), 'breakdown run')}" if apart else "")
    )


_GAP = 2
"""Columns of the screen between two of the table."""


def _width(rows: Sequence[Sequence[str]]) -> int:
    """Return the columns of the screen that a table needs for one line each; rich would take as long as printing it."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    return sum(widths) + _GAP * (len(widths) - 1)


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]], *, title: str) -> Table:
    """Return the table of a plan; a line of a title is not broken, and layouts are not either."""
    padding = (0, _GAP // 2)
    table = Table(box=None, header_style="bold", title=title, title_justify="left", pad_edge=False, padding=padding)
    for name in titles:
        widest = max(map(len, name.split("\n")))
        table.add_column(name, overflow="fold", min_width=widest, no_wrap=name.endswith("R x S"))
    for row in rows:
        table.add_row(*row)
    return table


def _numbers(layout: Layout | None) -> str:
    return "" if layout is None else f"{layout.federation} x {layout.replicate} x {layout.shard}"


def _in_short(cell: Cell) -> str:
    if cell.status == "impossible":
        return "impossible"
    return "= " + ", ".join(
        as_text(value) if axis == "strategy" else f"{axis} {as_text(value)}" for axis, value in cell.same_as.items()
    )


def print_commands(prepared: PreparedSweep, folder: SweepFolder, console: Console) -> None:
    """Print the commands of every run: those of its agents with their environment, or that of `xffl exec`.

    They repeat the run by hand once its run.json exists, and the files for an image or `xffl exec`.

    Raises:
        InputError: `xffl exec` or the image is needed and does not exist.

    """
    image = prepared.image
    threads = environment(prepared.system.facts, {})
    console.print(f"# environment: {shlex.join(f'{name}={value}' for name, value in threads.items())}", highlight=False)
    for run_id in prepared.selected:
        run, run_folder = prepared.planned.runs[run_id], folder.run(run_id)
        if run.launcher == "xffl":
            console.print(f"# {run_id}: {counted(run.nodes, 'node')}, {counted(run.world, 'rank')}", highlight=False)
            print(
                shlex.join(Scripts(run, run_folder, run_folder.attempt(0), find_site(prepared.system.xffl)).by_hand())
            )
            continue
        console.print(
            f"# {run_id}: {counted(run.nodes, 'agent')} of {counted(run.ranks_per_node, 'rank')}", highlight=False
        )
        python = [*entry_command(run_folder), "python"] if image else [sys.executable]
        for order in orders(run, run_folder, run_folder.attempt(0)):
            print(shlex.join(agent_command(order, python)))
    console.print(f"# {counted(len(prepared.selected), 'run')}; nothing was started", highlight=False)


def print_summary(summary: Summary, folder: SweepFolder, console: Console, *, asked: int | None = None) -> None:
    """Print outcomes and what to do next; with `asked` runs requested, last how many have no result yet."""
    counts = Counter(summary.outcomes.values())
    said = ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common())
    console.print(f"{counted(len(summary.outcomes), 'run')}: {said or 'none'}")
    for reason, runs in _by_reason(summary.left).items():
        console.print(
            f"{counted(len(runs), 'run')} left: {reason} ({', '.join(runs[:3])}{' ...' * (len(runs) > 3)})",
            highlight=False,
        )
    console.print(f"tables and plots: xffl-bench report {shlex.quote(str(folder.path))}", highlight=False)
    if asked is not None and (open_runs := asked - len(summary.outcomes.keys() | summary.left.keys())):
        console.print(f"left: {open_runs} of {counted(asked, 'run')}; repeat the command to continue", highlight=False)


def _by_reason(left: dict[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for run_id, reason in left.items():
        found.setdefault(reason, []).append(run_id)
    return found


def print_jobs(scripts: list[Path], submits_by: str, console: Console) -> None:
    """Print the job scripts that were written and not submitted."""
    for script in scripts:
        print(script)
    console.print(
        f"# {counted(len(scripts), 'job')}, none submitted: use {submits_by}, or the same command without --dry-run",
        highlight=False,
    )
