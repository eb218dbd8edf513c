"""The noise of a run, from earlier results of the same sweep."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from statistics import variance

from bench.contract.plan import Cell, Plan
from bench.contract.results.outcomes import Outcome
from bench.contract.results.result import Result


@dataclass(frozen=True)
class Noise:
    """Noise of a run, pooled over comparisons of a table's rows with the reference's on the same nodes.

    Attributes:
        deviation: standard deviation of the logarithm of tokens/s, without what the runs of a pair share.
        pairs: pairs that it is from.

    """

    deviation: float
    pairs: int


def noise(plan: Plan, result: Callable[[str], Result | None]) -> Noise | None:
    """Return the noise of the runs that completed; None if no comparison has two pairs.

    Args:
        result: returns the result of a run id, None without one.

    """
    cells = {_key(cell.labels): cell for cell in plan.cells if cell.runs}
    compared: dict[tuple[str, ...], list[float]] = {}
    for cell in cells.values():
        other = cells.get(_key(cell.labels | plan.reference_row))
        if other is not None and other.runs != cell.runs:
            compared[tuple(cell.runs)] = _differences(cell, other, result)
    several = [values for values in compared.values() if len(values) > 1]
    if not several:
        return None
    squares = sum(variance(values) * (len(values) - 1) for values in several)
    of_pairs = squares / sum(len(values) - 1 for values in several)
    return Noise(math.sqrt(of_pairs / 2), sum(map(len, several)))


def has_pairs(plan: Plan, selected: set[str], *, across_nodes: bool) -> bool:
    """Return whether selected runs are compared in pairs: with those of the reference's row on the same nodes.

    Args:
        across_nodes: whether runs of different node counts share sessions, and so are pairs, too.

    """
    cells = [cell for cell in plan.cells if not selected.isdisjoint(cell.runs)]
    inside = {*plan.compare, "cuda_streams", *(["nodes"] if across_nodes else [])}
    tables = defaultdict[str, list[Cell]](list)
    for cell in cells:
        tables[_key({name: label for name, label in cell.labels.items() if name not in inside})].append(cell)
    return any(
        cell.runs != other.runs
        for same in tables.values()
        for other in same
        if plan.reference_row.items() <= other.labels.items()
        for cell in same
    )


def _key(labels: dict[str, bool | int | float | str]) -> str:
    return repr(sorted(labels.items()))


def _differences(one: Cell, other: Cell, result: Callable[[str], Result | None]) -> list[float]:
    """Return the log-ratios of tokens/s of the pairs: the same repeat in the same session, late retries included."""
    found = []
    for pair in zip(one.runs, other.runs, strict=True):
        ours, theirs = map(result, pair)
        if ours is None or theirs is None or ours.ran_in != theirs.ran_in:
            continue
        if ours.measured is None or theirs.measured is None:
            continue
        if ours.outcome is theirs.outcome is Outcome.COMPLETED:
            found.append(math.log(ours.measured.window.tokens_per_s / theirs.measured.window.tokens_per_s))
    return found
