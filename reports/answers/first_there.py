"""Which row reaches the target loss first, as a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports.answers.rivals import claims, rival
from reports.cells.figures import Figure, mean_of
from reports.cells.grid import CellRuns
from reports.cells.metrics import BY_KEY
from reports.data.words import counted


@dataclass(frozen=True)
class Racer:
    """A row on one node count, and its time to the target over that of the reference's row."""

    label: str
    cell: CellRuns
    over_reference: Figure | None

    def mean(self, metric: str) -> float | None:
        """Return the mean of a figure of the target; None unless every run with a course reached it."""
        figure = None if self.cell.missed else mean_of(BY_KEY[metric], self.cell)
        return None if figure is None else figure.estimate.value


def first_there(rows: Sequence[Racer], reference: str, pairs: int, *, is_given: bool) -> str | None:
    """Return which row reaches the target first, when and with what certainty; None without a target or with one row.

    Args:
        rows: those that can be compared with the reference's row, itself included.
        reference: label of the reference's row.
        pairs: number of pairs of rows that the first one is chosen from.
        is_given: whether the target is that of the matrix file.

    """
    targets = [record for row in rows for record in row.cell.completed if record.get("target_loss") is not None]
    if len(rows) < 2 or not targets:
        return None
    loss = f"{targets[0]['target_loss']:.4f} nats/token"
    kind = targets[0]["target_kind"]
    parts = [
        f"the target, a {kind} loss of {loss}"
        if is_given
        else f"the {kind} loss of {loss}, which every repeat of {reference} reaches"
    ]
    times = {row.label: seconds for row in rows if (seconds := row.mean("target_s")) is not None}
    unknown = [row.label for row in rows if row.label not in times and not row.cell.missed]
    if times:
        first = next(row for row in rows if row.label == min(times, key=lambda label: times[label]))
        rivals = [
            made
            for row in rows
            if row is not first
            and row.label in times
            and (made := rival(row.label, first.cell, row.cell, "target_s", pairs, rate=False))
        ]
        is_shown = len(rivals) == len(times) - 1 and all(each.is_beaten for each in rivals)
        who = f"{'soonest' if is_shown else 'soonest on average'} by {first.label}"
        if len(times) == 1:
            who = f"in every repeat by {first.label}{'' if unknown else ' only'}"
        parts.append(
            f"{who}, after {times[first.label]:,.3g} s, {first.mean('target_tokens'):,.0f} tokens "
            f"and {first.mean('target_node_hours'):.3g} node-hours"
        )
        parts += claims(rivals, pairs, "sooner")
    ratios = [
        f"{row.label} {BY_KEY['target_ratio'].text(row.over_reference.estimate)}"
        for row in sorted(rows, key=lambda row: times.get(row.label, 0.0))
        if row.label != reference and row.label in times and row.over_reference is not None
    ]
    parts += [f"time over {reference}'s: {', '.join(ratios)}"] if ratios else []
    missing = [
        f"{row.label} (in {row.cell.missed} of {counted(len(row.cell.completed), 'repeat')})"
        for row in rows
        if row.cell.missed
    ]
    parts += [f"not reached by {', '.join(missing)}"] if missing else []
    parts += [f"not known of {', '.join(unknown)}"] if unknown else []
    return "; ".join(parts)
