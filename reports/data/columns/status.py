"""Columns for what became of a run."""

from __future__ import annotations

from dataclasses import dataclass

from bench.contract.results.result import Result
from reports.data.columns.base import Column, number, text, whole

NOT_RUN = "not-run"
DAMAGED = "damaged"
NEWER = "newer-version"
"""Outcomes of the frame beyond those of `bench.contract.results.outcomes`: no result yet, files that cannot be read or
that contradict each other, and one that a newer xffl-bench wrote.
"""


@dataclass(frozen=True)
class Status:
    """What is known of every planned run."""

    run: str
    repeat: int
    outcome: str = NOT_RUN
    reason: str = ""
    cautions: str = ""


def _switches(result: Result, nodes: int) -> str | None:
    place = result.allocation
    if place is None:
        return None
    return "; ".join(f"{host}: {place.switches.get(host, 'unknown')}" for host in place.hosts[:nodes])


STATUS: tuple[Column[[Status]], ...] = (
    text("run", "id of the run: its folder under `runs/`", lambda status: status.run),
    whole("repeat", "index of the repeat within its combination, from 0", lambda status: status.repeat),
    text("outcome", "one of the outcomes below", lambda status: status.outcome),
    text("reason", "why the run has this outcome; empty when it completed", lambda status: status.reason),
    text("cautions", "cautions that were recorded with the run, separated by commas", lambda status: status.cautions),
)
ATTEMPT: tuple[Column[[Result, int]], ...] = (
    whole("attempt", "index of the attempt that gave the result, from 0", lambda result, _: result.attempt),
    text("started", "start of that attempt, ISO 8601, UTC", lambda result, _: result.started),
    number(
        "elapsed_s",
        "wall time of that attempt as the runner measured it, start-up included (s)",
        lambda result, _: result.seconds,
    ),
    number(
        "node_hours",
        "cost of that attempt: `elapsed_s x nodes / 3600`",
        lambda result, nodes: nodes * result.seconds / 3600,
    ),
    text(
        "job",
        "id of the batch job that it ran in; none outside a job",
        lambda result, _: result.allocation.job if result.allocation else None,
    ),
    text(
        "session",
        "the allocation, or the local call of `run`, that it ran in; of older results the batch job only",
        lambda result, _: result.ran_in,
    ),
    whole(
        "position",
        "place of that attempt among those of its session, from 1, in the order in which they started",
        lambda result, _: result.position,
    ),
    text(
        "slow_hosts",
        "what the preflight of its job found slow among its hosts; none without a finding",
        lambda result, _: "; ".join(result.slow_hosts) or None,
    ),
    text(
        "switches",
        "for each host the lowest switch above it, where the scheduler knows the switches",
        _switches,
    ),
)
"""Of a result and the run's number of nodes."""
