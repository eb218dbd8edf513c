"""The cautions of a table: where each applies, and its remedy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.contract.results.outcomes import Caution
from reports.cells.comparability import Comparability, not_comparable
from reports.cells.figures import damaged
from reports.cells.grid import Grid
from reports.cells.spread import Cells, completed_cells, noisy, of_few_allocations
from reports.cells.table_reference import TableReference
from reports.cells.trained_tokens import UnequalTokens
from reports.data.words import counted
from reports.stats.intervals import FEWEST_FOR_INTERVAL


@dataclass(frozen=True)
class Notice:
    """A caution of one table."""

    caution: Caution
    detail: str = ""
    """Where it applies, or the attribute that it is about; empty where it applies to the whole table."""

    @property
    def text(self) -> str:
        """`oversubscribed (on 2 nodes): meaning; remedy.` as reports show it."""
        where = f" ({self.detail})" if self.detail else ""
        return f"{self.caution}{where}: {self.caution.meaning}; {self.caution.remedy}."


def notices(
    grid: Grid,
    comparability: Comparability,
    reference: TableReference,
    unequal: UnequalTokens,
    few_pairs: Sequence[str] = (),
) -> list[Notice]:
    """Return all cautions of a table, in the order of `Caution`.

    Args:
        unequal: rows and columns whose losses are after different numbers of trained tokens.
        few_pairs: cells with enough repeats of which some comparison has no interval all the same.

    """
    everywhere = {(label, count) for label, count, _ in completed_cells(grid)}
    found = [
        *_measured(grid, everywhere),
        *_few_repeats(grid),
        *_of_cells(Caution.NOISY_REPEATS, noisy(grid, comparability.sweep), everywhere),
        *_of_cells(Caution.FEW_SESSIONS, of_few_allocations(grid), everywhere),
        *([Notice(Caution.FEW_PAIRS, ", ".join(few_pairs))] if few_pairs else []),
        *([Notice(Caution.SELECTED)] if grid.choice is not None and grid.choice.is_biased else []),
        *(Notice(Caution.NOT_COMPARABLE, text) for text in not_comparable(grid, comparability, reference)),
        *([Notice(Caution.UNEQUAL_TOKENS, places)] if (places := unequal.places(grid)) else []),
        *([] if reference.completed else [Notice(Caution.NO_REFERENCE, str(reference))]),
        *_damaged(grid),
    ]
    return sorted(found, key=lambda notice: list(Caution).index(notice.caution))


def _measured(grid: Grid, everywhere: Cells) -> list[Notice]:
    """Return the cautions recorded by the runs; one that not all completed cells have names its rows and nodes."""
    places: dict[str, Cells] = {}
    for label, nodes, cell in completed_cells(grid):
        for record in cell.completed:
            for caution in filter(None, record["cautions"].split(", ")):
                places.setdefault(caution, set()).add((label, nodes))
    recorded = [(caution, places[caution]) for caution in Caution if caution in places]
    found = [notice for caution, touched in recorded for notice in _of_cells(caution, touched, everywhere)]
    return [_with_changes(grid, notice) if notice.caution is Caution.DIRTY_COMMIT else notice for notice in found]


def _with_changes(grid: Grid, notice: Notice) -> Notice:
    """Name the digests of the uncommitted changes, by which a reader finds out whether two tables are of one code."""
    digests = {record["diff"] or "" for _, _, cell in completed_cells(grid) for record in cell.completed} - {""}
    changes = f"changes {', '.join(sorted(digest[:12] for digest in digests))}" if digests else ""
    return Notice(notice.caution, "; ".join(filter(None, (notice.detail, changes))))


def _of_cells(caution: Caution, touched: Cells, everywhere: Cells) -> list[Notice]:
    return [Notice(caution, _where(touched, everywhere))] if touched else []


def _where(touched: Cells, everywhere: Cells) -> str:
    if touched == everywhere:
        return ""
    rows, nodes = {row for row, _ in touched}, {count for _, count in touched}
    if touched == {place for place in everywhere if place[1] in nodes}:
        return f"on {counted(', '.join(str(count) for count in sorted(nodes)), 'node')}"
    if touched == {place for place in everywhere if place[0] in rows}:
        return ", ".join(sorted(rows))
    return ", ".join(f"{row} on {count}" for row, count in sorted(touched))


def _few_repeats(grid: Grid) -> list[Notice]:
    counts = [len(cell.completed) for cell in grid.cells if cell.completed]
    return [Notice(Caution.FEW_REPEATS)] if counts and min(counts) < FEWEST_FOR_INTERVAL else []


def _damaged(grid: Grid) -> list[Notice]:
    runs = dict.fromkeys(
        record["run"]
        for cell in grid.cells
        if damaged(cell)
        for record in cell.records
        if record["outcome"] == "damaged"
    )
    return [Notice(Caution.DAMAGED_RESULT, ", ".join(runs))] if runs else []
