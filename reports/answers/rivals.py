"""Whether a row that was chosen as the best is shown to be better than each of the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports.cells.grid import CellRuns
from reports.data.words import counted
from reports.stats.comparison import Comparison, Rule, ratio
from reports.stats.verdicts import ALPHA, smallest_ratio

_MOST_REPEATS = 100
"""Nobody repeats a run more often; a difference that needs more is said to need more."""


@dataclass(frozen=True)
class Rival:
    """A row that the best one is compared with; `comparison` is the ratio by which the best one is better."""

    label: str
    comparison: Comparison
    is_beaten: bool


def rival(label: str, best: CellRuns, other: CellRuns, column: str, pairs: int, *, rate: bool) -> Rival | None:
    """Return how a cell compares with the best one; None without values of both.

    The best cell was chosen by the same values, so the p-value is adjusted for all pairs of rows that it could have
    been chosen from (Bonferroni).

    Args:
        label: of the other cell's row.
        best: the cell that was chosen.
        other: the cell that it is compared with.
        column: of the values.
        pairs: number of pairs of rows.
        rate: whether a higher value is better; of times a lower one is.

    """
    over, under = (best, other) if rate else (other, best)
    made = ratio(over.samples(column), under.samples(column))
    if made is None:
        return None
    is_shown = made.p_value is not None and made.p_value * pairs < ALPHA
    return Rival(label, made, is_shown and made.estimate.value > 1)


def claims(rivals: Sequence[Rival], pairs: int, better: str) -> list[str]:
    """Return `faster than fsdp, adjusted for 3 pairs of rows (5%)` and `not shown to be faster than hsdp`."""
    beaten = ", ".join(each.label for each in rivals if each.is_beaten)
    unclear = ", ".join(each.label for each in rivals if not each.is_beaten)
    parts = [f"{better} than {beaten}, adjusted for {counted(pairs, 'pair')} of rows ({ALPHA:.0%})"] if beaten else []
    return [*parts, f"not shown to be {better} than {unclear}"] if unclear else parts


def repeats_needed(made: Comparison, pairs: int) -> str:
    """Return how many repeats would show a difference that was seen and not shown, if it is real."""
    if made.estimate.value <= 1:
        return f"no number of repeats (the runs that can be compared show a ratio of {made.estimate.value:.3f})"
    if made.rule is Rule.SESSIONS:
        return "more sessions of each, or both in one"
    if made.deviation is None:
        return "at least 3 repeats of both in one session, for an interval"
    for repeats in range(made.size + 1, _MOST_REPEATS + 1):
        if smallest_ratio(made.deviation, repeats, alpha=ALPHA / pairs) <= made.estimate.value:
            return f"about {repeats} repeats, if the ratio of {made.estimate.value:.3f} is real"
    return f"more than {_MOST_REPEATS} repeats (a ratio of {made.estimate.value:.3f})"
