"""Which losses of a table are after different numbers of trained tokens, though they share a row or a column."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from reports.cells.grid import CellRuns, Grid
from reports.data.words import counted


@dataclass(frozen=True)
class UnequalTokens:
    """Rows and columns along which cells trained different numbers of tokens.

    Attributes:
        rows: indices of rows.
        nodes: node counts.

    """

    rows: frozenset[int]
    nodes: frozenset[int]

    def note(self, row: int, nodes: int, cell: CellRuns) -> str:
        """Return `at 98,304 tokens` for a cell of such a row or column, else an empty text."""
        if row not in self.rows and nodes not in self.nodes:
            return ""
        return f"at {' or '.join(f'{count:,}' for count in sorted(_trained([cell])))} tokens"

    def places(self, grid: Grid) -> str:
        """Return where it applies, `fsdp, hsdp over node counts; on 2 nodes`; empty where nothing is unequal."""
        rows = ", ".join(row.label for index, row in enumerate(grid.rows) if index in self.rows)
        nodes = ", ".join(counted(count, "node") for count in sorted(self.nodes))
        parts = (f"{rows} over node counts" if rows else "", f"on {nodes}" if nodes else "")
        return "; ".join(filter(None, parts))


def unequal_tokens(grid: Grid) -> UnequalTokens:
    """Return the rows and columns of a grid whose completed runs trained different numbers of tokens."""
    rows = (index for index, row in enumerate(grid.rows) if len(_trained(row.cells.values())) > 1)
    nodes = (
        count for count in grid.nodes if len(_trained(row.cells[count] for row in grid.rows if count in row.cells)) > 1
    )
    return UnequalTokens(frozenset(rows), frozenset(nodes))


def _trained(cells: Iterable[CellRuns]) -> set[int]:
    return {int(tokens) for cell in cells for tokens in cell.figures("trained_tokens").values()}
