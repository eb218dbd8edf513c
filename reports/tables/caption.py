"""The caption of a table, generated from its runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from bench.contract.plan import Plan
from bench.contract.results.measured import Measured
from bench.contract.run import Run
from reports.cells.grid import Grid
from reports.data.frame import LoadedSweep
from reports.data.words import counted

Item = TypeVar("Item")


def caption(grid: Grid, sweep: LoadedSweep, *further: str) -> str:
    """Return one sentence: model, sequence length, batch, precision, hardware, repeats, window, floor of the loss.

    Args:
        further: more parts for its end; empty ones are left out.

    """
    identities = dict.fromkeys(record["run"] for cell in grid.cells for record in cell.records)
    runs = [sweep.runs[identity] for identity in identities if identity in sweep.runs]
    if not runs:
        return f"{grid.labels['model']}: no run of this table has begun, or none can be read."
    found = [
        result.measured
        for identity in identities
        if (result := sweep.results.get(identity)) is not None and result.measured is not None
    ]
    parts = [
        _model(runs),
        f"sequence length {_agreed(runs, lambda run: run.training.sequence_length)}",
        _batch(grid, sweep.plan, runs),
        f"precision {_agreed(runs, lambda run: run.training.precision)}",
        _hardware(runs, found),
        counted(sweep.plan.repeats, "repeat"),
        _window(runs),
        *_energy(found),
    ]
    floors = _agreed((m for m in found if m.loss.entropy_rate is not None), lambda m: f"{m.loss.entropy_rate:.4f}")
    if floors:
        parts.append(f"lower bound of the loss: the data's entropy rate, {floors} nats/token")
    return "; ".join([*parts, *filter(None, further)]) + "."


def _energy(found: list[Measured]) -> list[str]:
    """Return what no run counted the energy of, so that nobody takes its absence for none."""
    machines = [measured.machine for measured in found if measured.machine is not None]
    counts = {"processors": any(machine.processor_joules for machine in machines)}
    if any(device != "cpu" for measured in found for device in measured.provenance.devices):
        counts = {"GPUs": any(machine.gpu_joules for machine in machines)} | counts
    absent = [name for name, is_counted in counts.items() if not is_counted]
    return [f"energy of {' and '.join(absent)} not counted"] if found and absent else []


def _model(runs: list[Run]) -> str:
    parameters = _agreed(runs, lambda run: f"{run.shape.parameters:,}")
    active = _agreed((run for run in runs if run.shape.experts), lambda run: f"{run.shape.active_parameters:,}")
    return f"{_agreed(runs, lambda run: run.model)}: {parameters} parameters" + (f", {active} active" if active else "")


def _batch(grid: Grid, plan: Plan, runs: list[Run]) -> str:
    accumulation = _agreed(runs, lambda run: run.training.accumulation)
    if plan.regime == "max-batch":
        limit = _agreed((run for run in runs if run.search), lambda run: run.search and run.search.limit)
        per_step = "" if accumulation == "1" else f", {accumulation} micro-batches per step"
        return f"largest micro-batch that fits in memory, up to {counted(limit, 'sequence')} per rank{per_step}"
    if "batch_size" not in grid.labels:
        return "batch size by row" + ("" if accumulation == "1" else f", {accumulation} micro-batches per step")
    size = grid.labels["batch_size"]
    accumulated = "" if accumulation == "1" else f" in {accumulation} micro-batches"
    if plan.regime == "global-batch":
        return f"equal global batch of {counted(size, 'sequence')} per step{accumulated}"
    if accumulated:
        return f"equal micro-batch of {counted(size, 'sequence')} per rank, {accumulation} micro-batches per step"
    return f"equal micro-batch of {counted(size, 'sequence')} per rank and step"


def _hardware(runs: list[Run], found: list[Measured]) -> str:
    names = dict.fromkeys(
        device for measured in found for device in measured.provenance.devices if device not in ("cpu", "cuda")
    )
    if not names:
        names = dict.fromkeys(measured.provenance.cpu_model for measured in found if measured.provenance.cpu_model)
    devices = f" ({', '.join(names)})" if names else ""
    cores = _agreed(found, lambda measured: measured.provenance.cores)
    return (
        f"{_agreed(runs, lambda run: run.system.name)}: {_agreed(runs, lambda run: run.system.device)}{devices}, "
        f"{counted(_agreed(runs, lambda run: run.ranks_per_node), 'rank')} per node, "
        + (f"{counted(cores, 'core')} per host, " if cores else "")
        + f"{counted(_agreed(runs, lambda run: run.system.threads_per_rank), 'thread')} per rank"
    )


def _window(runs: list[Run]) -> str:
    return (
        f"window of {counted(_agreed(runs, lambda run: run.window_steps), 'step')} "
        f"in blocks of {_agreed(runs, lambda run: run.block)} "
        f"after {counted(_agreed(runs, lambda run: run.first_window_step), 'warm-up step')}"
    )


def _agreed(items: Iterable[Item], value: Callable[[Item], object]) -> str:
    """Return the value that all share, else all values joined by `or`."""
    return " or ".join(dict.fromkeys(str(value(item)) for item in items))
