"""Columns for the parts of a step, of breakdown runs only."""

from __future__ import annotations

from bench.contract.results.breakdown import Breakdown, Part
from reports.data.columns.base import Column, number


def part_column(part: Part) -> str:
    """Return the column of a part's mean time."""
    return f"{part}_s"


def _mean(part: Part) -> Column[[Breakdown]]:
    return number(
        part_column(part),
        f"{part.meaning}: mean over the window's steps and over ranks (s)",
        lambda found: found.parts[part].mean,
    )


def _slowest(part: Part) -> Column[[Breakdown]]:
    return number(
        f"{part}_slowest_s",
        "the same on the rank that it took longest in each step: mean over the window's steps (s)",
        lambda found: found.parts[part].slowest,
    )


STEP = "breakdown_step_s"
PARTS: tuple[Column[[Breakdown]], ...] = (
    number(STEP, "time of the window divided by its steps (s): the sum of the parts below", lambda found: found.step),
    *(make(part) for part in Part for make in (_mean, _slowest)),
)
