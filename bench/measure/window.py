"""From what every rank saw to what a run measured: definitions of throughput, loss and memory, on plain numbers.

Runs on rank 0 after the training. No torch here, so that the definitions can be tested on hand-made ranks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from bench.contract.measured import Startup, Window
from bench.contract.run import Run

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Trained:
    """What one rank saw.

    Attributes:
        losses: mean loss of the rank's own labels at every step, nats per token.
        tokens: labels that were trained on at every step.
        begins, ends: seconds from the start of the window.
        aggregations: seconds of averaging inside each step: 0 where there was none, NaN where it was not timed.
        averaged: [before, after] of a few elements for every averaging (see `bench.parallel.averaging_check`).

    """

    losses: list[float]
    tokens: list[int]
    begins: list[float]
    ends: list[float]
    aggregations: list[float]
    averaged: list[list[list[float]]]

    @property
    def first_step(self) -> float:
        """Seconds of the first step, with all that is set up on the way."""
        return self.ends[0] - self.begins[0]


@dataclass(frozen=True)
class RankRecord:
    """One rank's share of the account.

    Attributes:
        machine: under the host, which may have others on it.
        cores: how many the host's ranks may use together.
        own_cores: which of them this rank may use.

    """

    rank: int
    host: str
    machine: str
    local_rank: int
    device: str
    cores: int
    own_cores: list[int]
    trained: Trained
    memory: dict[str, int | None]
    startup: Startup
    matmul: float


@dataclass(frozen=True)
class Steps:
    """All ranks' steps; arrays of shape (ranks, steps), in seconds from the start of the window."""

    begins: Floats
    ends: Floats
    aggregations: Floats
    losses: Floats
    tokens: Floats

    @classmethod
    def of(cls, ranks: Sequence[Trained]) -> Steps:
        """Stack the ranks' lists, in rank order."""
        return cls(
            *(
                np.array([getattr(rank, name) for rank in ranks], dtype=np.float64)
                for name in ("begins", "ends", "aggregations", "losses", "tokens")
            )
        )


def window(run: Run, steps: Steps) -> Window:
    """Tokens over the wall time from the first rank's start of its first step to the last rank's end of its last.

    Not a median of steps, which hides an aggregation that few steps carry, and not a sum of per-step maxima, which
    overstates groups that do not wait for each other. A block ends when its last rank does.
    """
    first, block = run.first_window_step, run.block
    tokens = steps.tokens[:, first:]
    starts = float(steps.begins[:, first].min())
    ends = np.concatenate([[starts], steps.ends[:, first + block - 1 :: block].max(axis=0)])
    block_tokens = tokens.reshape(len(tokens), -1, block).sum(axis=(0, 2))
    groups = [_slowest(run, steps, group)[first:] for group in range(run.layout.federation)]
    quartiles = np.percentile(np.concatenate(groups), [25, 50, 75])
    averaging = steps.aggregations[:, first:].max(axis=0)
    averaging = averaging[averaging != 0]  # NaN: there was one, and nobody timed it
    return Window(
        first_step=first,
        steps=run.window_steps,
        block=block,
        seconds=float(ends[-1] - starts),
        tokens=int(tokens.sum()),
        block_tokens_per_s=[float(rate) for rate in block_tokens / np.diff(ends)],
        step_s_quartiles=(float(quartiles[0]), float(quartiles[1]), float(quartiles[2])),
        aggregations=len(averaging),
        aggregation_s_median=_median(averaging),
    )


def _median(seconds: Floats) -> float | None:
    """None where there is nothing, or nothing was timed."""
    return float(np.median(seconds)) if len(seconds) and np.isfinite(seconds).all() else None


def _members(run: Run, group: int) -> slice:
    return slice(group * run.layout.group, (group + 1) * run.layout.group)


def _slowest(run: Run, steps: Steps, group: int) -> Floats:
    """Seconds of each step on the group's slowest rank; shape (steps,)."""
    members = _members(run, group)
    slowest: Floats = (steps.ends[members] - steps.begins[members]).max(axis=0)
    return slowest


def mean_loss(losses: Floats, tokens: Floats) -> float:
    """Mean weighted by tokens, nats per token."""
    return float((losses * tokens).sum() / tokens.sum())


def step_table(run: Run, steps: Steps, rates: Sequence[float]) -> pa.Table:
    """One row per step and federated group; `rates` are the learning rates of the steps."""

    def rows() -> Iterator[dict[str, object]]:
        for group in range(run.layout.federation):
            members = _members(run, group)
            slowest = _slowest(run, steps, group)
            tokens, losses = steps.tokens[members], steps.losses[members]
            averaging = steps.aggregations[members].max(axis=0)
            for step in range(run.training.steps):
                yield {
                    "step": step,
                    "group": group,
                    "seconds": float(slowest[step]),
                    "tokens": int(tokens[:, step].sum()),
                    "loss": mean_loss(losses[:, step], tokens[:, step]),
                    "learning_rate": rates[step],
                    "aggregation_s": float(averaging[step]),
                    "in_window": step >= run.first_window_step,
                }

    return pa.Table.from_pylist(sorted(rows(), key=lambda row: (row["step"], row["group"])))


def write_steps(path: Path, table: pa.Table) -> None:
    """Write the step table whole or not at all."""
    beside = path.with_name(f".{path.name}.part")
    try:
        pq.write_table(table, beside)
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def oversubscribed(records: Sequence[RankRecord], threads: int) -> bool:
    """Whether ranks of so many threads each had more of them than cores: on a host, or on a core of a machine if a
    rank's threads are spread evenly over the cores that it may use.
    """
    on_host, on_core = defaultdict[str, int](int), defaultdict[tuple[str, int], Fraction](Fraction)
    for record in records:
        on_host[record.host] += threads
        for core in record.own_cores:
            on_core[record.machine, core] += Fraction(threads, len(record.own_cores))
    return any(on_host[record.host] > record.cores for record in records) or any(load > 1 for load in on_core.values())


def slowest_startup(records: Sequence[RankRecord]) -> Startup:
    """Each phase's slowest rank."""
    return Startup(
        **{phase: max(getattr(record.startup, phase) for record in records) for phase in Startup.model_fields}
    )


def largest_memory(records: Sequence[RankRecord]) -> dict[str, int | None]:
    """Each figure's maximum over ranks; None where the device cannot tell."""
    largest: dict[str, int | None] = {}
    for name in records[0].memory:
        values = [value for record in records if (value := record.memory[name]) is not None]
        largest[name] = max(values) if values else None
    return largest
