"""Runs of a combination that are never timed: breakdown runs, and runs that keep a profiler's trace."""

from __future__ import annotations

from bench.contract.base import AxisValue, EngineName, Purpose
from bench.contract.run import Run
from matrix.planning.combinations.run_ids import run_id

ENGINES_WITH_PARTS: tuple[EngineName, ...] = ("native",)
"""Engines that note the parts of a step. The xFFL library's training loop has no place to note them."""


def untimed(run: Run, purpose: Purpose, count: int, first: dict[str, AxisValue]) -> list[Run]:
    """Return `count` runs that train what `run` trains, for another purpose.

    They save neither model nor checkpoint, validate only at the end, and are not tracked by Weights & Biases, which
    would show their speed.

    Args:
        first: the first value of each axis, which ids leave out.

    """
    alone = run.alone()
    made = [alone.model_copy(update={"purpose": purpose, "repeat": repeat}) for repeat in range(count)]
    return [each.model_copy(update={"id": run_id(each, each.identity(), first)}) for each in made]
