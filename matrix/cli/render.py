"""Print plans, summaries and the state of a sweep to a terminal."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.contract.layout import Layout
from bench.contract.outcomes import Outcome
from bench.contract.plan import Cell
from bench.contract.result import Result
from bench.contract.training import SETTINGS
from matrix.errors import InputError, SchedulerError, as_text
from matrix.host.variables import environment
from matrix.image.image import entry_command
from matrix.launchers.torchrun import agent_command, orders
from matrix.launchers.xffl_scripts import Scripts
from matrix.launchers.xffl_site import find_site
from matrix.planning.crossing import crossing
from matrix.planning.prepare import PreparedSweep
from matrix.runner.runner import Summary
from matrix.schedulers.base import JobStatus
from matrix.schedulers.dispatch import batch_scheduler_of
from matrix.store.claim import holder
from matrix.store.jobs import JobFolder, job_folders, live_jobs
from matrix.store.sweep_folder import SweepFolder

MOST_ROWS = 1_000
"""Combinations that a plan lists: laying out a row takes far longer than planning its run, and nobody reads so many."""


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
    table = Table(box=None, header_style="bold", title=f"sweep {plan.sweep}", title_justify="left")
    for axis in varying:
        parts = axis.replace("_", "_\n")  # a narrow terminal must hold all axes
        table.add_column(parts, no_wrap=True, min_width=max(map(len, parts.split("\n"))))
    if has_settings:
        table.add_column("settings", overflow="fold")
    table.add_column("F x\nR x S", no_wrap=True)
    table.add_column("runs", no_wrap=True)
    reasons: dict[str, int] = {}
    shown = [cell for cell in plan.cells if cell.status == "impossible" or chosen.intersection(cell.runs)]
    for place, cell in enumerate(shown):
        said = f"{len(started.intersection(cell.runs))}"
        known = next((refused[run] for run in cell.runs if run in refused), "")
        if reason := cell.reason or known:
            number = reasons.setdefault(reason, len(reasons) + 1)
            said = f"{_in_short(cell) if cell.reason else 'refused'} [{number}]"
        if place >= MOST_ROWS:
            continue
        settings = [", ".join(f"{axis} {as_text(value)}" for axis, value in plan.settings(cell.labels).items())]
        named = [as_text(cell.labels[axis]) for axis in varying] + settings * has_settings
        table.add_row(*map(escape, named), _numbers(cell.layout), escape(said))
    console.print(table)
    if len(shown) > MOST_ROWS:
        console.print(f"{len(shown) - MOST_ROWS:,} more combinations: show them with --only AXIS=VALUE")
    for reason, number in reasons.items():
        console.print(escape(f"[{number}] {reason}"), highlight=False)
    everywhere = [f"{axis} {as_text(values[0])}" for axis, values in plan.axes.items() if len(values) == 1]
    if everywhere:
        console.print(f"everywhere: {', '.join(everywhere)}", highlight=False)
    if without := sum(cell.status == "run" and not cell.breakdown_runs for cell in shown if prepared.sweep.breakdown):
        console.print(
            f"breakdown: engine xffl does not note the parts of a step: no breakdown runs of {without} combinations",
            highlight=False,
        )
    for line in crossing(prepared.planned.runs[run] for run in plan.order if run in chosen):
        console.print(escape(line), highlight=False)
    counts = Counter(
        "refused" if refused.keys() & cell.runs and cell.status == "run" else cell.status for cell in shown
    )
    console.print(
        f"{len(started - apart)} runs of {counts['run']} combinations, {plan.repeats} repeats; {counts['same']} "
        f"combinations are equivalent to another, {counts['impossible']} are impossible"
        + (f"; {counts['refused']} are refused" if counts["refused"] else "")
        + (f"; {len(plan.cells) - len(shown)} are filtered out" if len(shown) < len(plan.cells) else "")
        + (f"; {len(apart)} breakdown runs besides, which are not timed" if apart else "")
    )


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
            console.print(f"# {run_id}: {run.nodes} nodes, {run.world} ranks", highlight=False)
            print(
                shlex.join(Scripts(run, run_folder, run_folder.attempt(0), find_site(prepared.system.xffl)).by_hand())
            )
            continue
        console.print(f"# {run_id}: {run.nodes} agents of {run.ranks_per_node} ranks", highlight=False)
        python = [*entry_command(run_folder), "python"] if image else [sys.executable]
        for order in orders(run, run_folder, run_folder.attempt(0)):
            print(shlex.join(agent_command(order, python)))
    console.print(f"# {len(prepared.selected)} runs; nothing was started", highlight=False)


def print_summary(summary: Summary, folder: SweepFolder, console: Console, *, asked: int | None = None) -> None:
    """Print outcomes and what to do next; with `asked` runs requested, also how many have no result yet."""
    counts = Counter(summary.outcomes.values())
    said = ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common())
    console.print(f"{len(summary.outcomes)} runs: {said or 'none'}")
    for reason, runs in _by_reason(summary.left).items():
        console.print(
            f"{len(runs)} runs left: {reason} ({', '.join(runs[:3])}{' ...' * (len(runs) > 3)})", highlight=False
        )
    if asked is not None and (open_runs := asked - len(summary.outcomes.keys() | summary.left.keys())):
        console.print(
            f"{open_runs} of {asked} runs have no result yet: repeat the command to continue", highlight=False
        )
    console.print(f"tables and plots: xffl-bench report {shlex.quote(str(folder.path))}", highlight=False)


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
        f"# {len(scripts)} jobs, none submitted: use {submits_by}, or the same command without --dry-run",
        highlight=False,
    )


def print_status(folder: SweepFolder, console: Console) -> None:
    """Print the outcomes so far, the active runs, and failures with their reasons."""
    plan = folder.plan()
    results, newer = _results(folder, plan.order)
    counts = Counter(result.outcome for result in results.values())
    missing = [run_id for run_id in plan.order if run_id not in results and run_id not in newer]
    runner = holder(folder.runners)
    table = Table(box=box.SIMPLE_HEAD, title=f"sweep {plan.sweep}: {len(plan.order)} runs", title_justify="left")
    table.add_column("outcome")
    table.add_column("runs", justify="right")
    table.add_column("meaning", overflow="fold")
    for outcome in Outcome:
        if counts[outcome]:
            table.add_row(outcome, str(counts[outcome]), outcome.meaning)
    if newer:
        table.add_row("newer version", str(len(newer)), "its result was written by a newer xffl-bench")
    if missing:
        table.add_row("not run", str(len(missing)), "no result yet")
    console.print(table)
    for run_id, result in results.items():
        if result.outcome is not Outcome.COMPLETED:
            console.print(f"{result.outcome}: {run_id}: {escape(result.reason)}", highlight=False)
    for run_id, sentence in newer.items():
        console.print(f"newer version: {run_id}: {escape(sentence)}", highlight=False, soft_wrap=True)
    if jobs := job_folders(folder):
        _print_jobs(folder, jobs, console)
    if runner is None:
        console.print("no process is running this sweep" if not jobs else "no process is following the jobs")
        return
    console.print(f"process {runner.pid} on {runner.host} has been running this sweep since {runner.since}")
    for run_id in missing:
        beat = folder.heartbeat(run_id)
        if beat is not None:
            console.print(f"active: {run_id}: {beat.phase}, step {beat.step + 1} of {beat.steps}", highlight=False)


def _results(folder: SweepFolder, run_ids: Iterable[str]) -> tuple[dict[str, Result], dict[str, str]]:
    """Return results by run id, and for each run whose result a newer xffl-bench wrote the sentence that says so.

    The results are without their figures, of which a large sweep has gigabytes.
    """
    found: dict[str, Result] = {}
    newer: dict[str, str] = {}
    started = folder.started()
    for run_id in filter(started.__contains__, run_ids):
        try:
            result = folder.result(run_id)
        except InputError as error:
            newer[run_id] = str(error)
            continue
        if result is not None:
            found[run_id] = result.model_copy(update={"measured": None})
    return found, newer


def _print_jobs(folder: SweepFolder, jobs: list[JobFolder], console: Console) -> None:
    """Print every job with its state: the recorded one if it has ended, else the scheduler's current one."""
    seen: dict[str, JobStatus] = {}
    if live := live_jobs(folder):
        scheduler = batch_scheduler_of(jobs[-1].order().system)
        try:
            seen = scheduler.look(list(live))
        except SchedulerError as error:
            console.print(f"{scheduler.title} does not respond: {escape(str(error))}", highlight=False)
    table = Table(box=box.SIMPLE_HEAD, title="jobs", title_justify="left")
    for name in ("job", "nodes", "runs done"):
        table.add_column(name, justify="right")
    table.add_column("state", overflow="fold")
    for job in jobs:
        order, submitted, end = job.order(), job.submitted, job.end
        results, _ = _results(folder, [run.id for run in order.runs])
        done = sum(result.outcome.is_final for result in results.values())
        if end is not None:
            state = f"{end.state}: {end.said}; {end.node_hours:.3f} node-hours"
        elif submitted is None:
            state = "not submitted"
        else:
            now = seen.get(submitted.id)
            state = f"{now.state} ({now.reason})" if now is not None else "unknown to the scheduler"
        table.add_row(
            submitted.id if submitted else "", str(order.nodes), f"{done} of {len(order.runs)}", escape(state)
        )
    console.print(table)
