"""Definitions of a run's throughput, loss and memory, computed from the records of all ranks.

Runs on rank 0 after the training. Imports no torch, so that the definitions can be tested on hand-made records.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.contract.results.breakdown import Part
from bench.contract.results.measured import Startup, Window
from bench.contract.run import Run
from bench.contract.storage.atomic import write_whole
from bench.measure.averaging import Floats, median_over_averagings, waits_and_transfers
from bench.measure.machine import MachineUse


@dataclass(frozen=True)
class Trained:
    """Steps of one rank.

    Attributes:
        losses: mean loss over the rank's own labels in every step, nats per token.
        tokens: labels trained on in every step.
        begins, ends: seconds from the start of the window.
        arrivals: begin of the averaging in every step, in seconds from the start of the window: NaN if none was timed.
        aggregations: seconds of averaging in every step: 0 without one, NaN if it was not timed.
        averaged: [before, after] of a few elements for every averaging (see `bench.parallel.averaging_check`).
        parts: seconds of each part of every step; empty except in a breakdown run.
        validations: losses of the validations during the training, the same on every rank.

    """

    losses: list[float]
    tokens: list[int]
    begins: list[float]
    ends: list[float]
    arrivals: list[float]
    aggregations: list[float]
    averaged: list[list[list[float]]]
    parts: dict[Part, list[float]] = field(default_factory=dict)
    validations: list[float] = field(default_factory=list)

    @property
    def first_step(self) -> float:
        """Seconds of the first step, including everything that is set up in it."""
        return self.ends[0] - self.begins[0]


@dataclass(frozen=True)
class RankRecord:
    """Everything that one rank contributes to the result.

    Attributes:
        machine: id of the physical machine, which several hosts may share.
        cores: number of cores that the host's ranks may use together.
        own_cores: the cores that this rank may use.
        cpu: model of the machine's processor.
        use: use of the machine during the window.

    """

    rank: int
    host: str
    machine: str
    local_rank: int
    device: str
    cores: int
    own_cores: list[int]
    cpu: str
    trained: Trained
    memory: dict[str, int | None]
    startup: Startup
    matmul: float
    use: MachineUse


@dataclass(frozen=True)
class Steps:
    """Steps of all ranks: arrays of shape (ranks, steps), times in seconds from the start of the window."""

    begins: Floats
    ends: Floats
    arrivals: Floats
    aggregations: Floats
    losses: Floats
    tokens: Floats

    @classmethod
    def of(cls, ranks: Sequence[Trained], paused_after: Sequence[int] = ()) -> Steps:
        """Stack the lists of all ranks, in rank order, and cut out the pauses after some steps.

        A pause lasts from the moment when the last rank has finished the step until all ranks begin the next one
        together. Waiting for that rank is no part of it.
        """
        steps = cls(
            *(
                np.array([getattr(rank, name) for rank in ranks], dtype=np.float64)
                for name in ("begins", "ends", "arrivals", "aggregations", "losses", "tokens")
            )
        )
        for step in paused_after:
            pauses = steps.begins[:, step + 1, np.newaxis] - steps.ends[:, step].max()
            for times in (steps.begins, steps.ends, steps.arrivals):
                times[:, step + 1 :] -= pauses
        return steps


def window(run: Run, steps: Steps) -> Window:
    """Return the window's throughput: tokens over the time from the first rank's start to the last rank's end.

    A median of steps would hide averagings, which few steps contain; a sum of per-step maxima would overstate the time
    of groups that do not wait for each other. A block ends when its last rank does.
    """
    first, block = run.first_window_step, run.block
    tokens = steps.tokens[:, first:]
    starts = float(steps.begins[:, first].min())
    ends = np.concatenate([[starts], steps.ends[:, first + block - 1 :: block].max(axis=0)])
    block_tokens = tokens.reshape(len(tokens), -1, block).sum(axis=(0, 2))
    groups = [_slowest(run, steps, group)[first:] for group in range(run.layout.federation)]
    quartiles = np.percentile(np.concatenate(groups), [25, 50, 75])
    averages = (steps.aggregations != 0).any(axis=0)  # NaN: an averaging that was not timed
    averages[:first] = False
    waits, transfers = waits_and_transfers(run.layout, steps.arrivals, steps.aggregations)
    return Window(
        first_step=first,
        steps=run.window_steps,
        block=block,
        seconds=float(ends[-1] - starts),
        tokens=int(tokens.sum()),
        block_tokens_per_s=[float(rate) for rate in block_tokens / np.diff(ends)],
        step_s_quartiles=(float(quartiles[0]), float(quartiles[1]), float(quartiles[2])),
        aggregations=int(averages.sum()),
        aggregation_s_median=median_over_averagings(steps.aggregations, averages),
        aggregation_wait_s_median=median_over_averagings(waits, averages),
        aggregation_transfer_s_median=median_over_averagings(transfers, averages),
    )


def _members(run: Run, group: int) -> slice:
    return slice(group * run.layout.group, (group + 1) * run.layout.group)


def _slowest(run: Run, steps: Steps, group: int) -> Floats:
    """Return the seconds of each step on the group's slowest rank; shape (steps,)."""
    members = _members(run, group)
    slowest: Floats = (steps.ends[members] - steps.begins[members]).max(axis=0)
    return slowest


def mean_loss(losses: Floats, tokens: Floats) -> float:
    """Return the token-weighted mean, nats per token."""
    return float((losses * tokens).sum() / tokens.sum())


def step_table(run: Run, steps: Steps, rates: Sequence[float]) -> pa.Table:
    """Return a table with one row per step and federated group; `rates` are the learning rates of the steps.

    Times of the averaging are those of the group's rank with the longest.
    """
    waits, transfers = waits_and_transfers(run.layout, steps.arrivals, steps.aggregations)

    def rows() -> Iterator[dict[str, object]]:
        for group in range(run.layout.federation):
            members = _members(run, group)
            slowest = _slowest(run, steps, group)
            tokens, losses = steps.tokens[members], steps.losses[members]
            averaging = {
                "aggregation_s": steps.aggregations[members].max(axis=0),
                "aggregation_wait_s": waits[members].max(axis=0),
                "aggregation_transfer_s": transfers[members].max(axis=0),
            }
            for step in range(run.training.steps):
                yield {
                    "step": step,
                    "group": group,
                    "seconds": float(slowest[step]),
                    "tokens": int(tokens[:, step].sum()),
                    "loss": mean_loss(losses[:, step], tokens[:, step]),
                    "learning_rate": rates[step],
                    **{name: float(seconds[step]) for name, seconds in averaging.items()},
                    "in_window": step >= run.first_window_step,
                }

    return pa.Table.from_pylist(sorted(rows(), key=lambda row: (row["step"], row["group"])))


def write_steps(path: Path, table: pa.Table) -> str:
    """Write the step table atomically; return the SHA-256 of the file."""
    stream = pa.BufferOutputStream()
    pq.write_table(table, stream)
    content = stream.getvalue().to_pybytes()
    write_whole(path, content, durable=False)
    return hashlib.sha256(content).hexdigest()


def oversubscribed(records: Sequence[RankRecord], threads: int) -> bool:
    """Return True if ranks with `threads` threads each have more threads than cores.

    Checked per host, and per core of a machine, with a rank's threads spread evenly over the cores that it may use.
    """
    on_host, on_core = defaultdict[str, int](int), defaultdict[tuple[str, int], Fraction](Fraction)
    for record in records:
        on_host[record.host] += threads
        for core in record.own_cores:
            on_core[record.machine, core] += Fraction(threads, len(record.own_cores))
    return any(on_host[record.host] > record.cores for record in records) or any(load > 1 for load in on_core.values())


def slowest_startup(records: Sequence[RankRecord]) -> Startup:
    """Return the duration of each phase on its slowest rank."""
    return Startup(
        **{phase: max(getattr(record.startup, phase) for record in records) for phase in Startup.model_fields}
    )


def largest_memory(records: Sequence[RankRecord]) -> dict[str, int | None]:
    """Return each figure's maximum over ranks; None if no rank has it."""
    largest: dict[str, int | None] = {}
    for name in records[0].memory:
        values = [value for record in records if (value := record.memory[name]) is not None]
        largest[name] = max(values) if values else None
    return largest
