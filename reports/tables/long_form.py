"""Every cell of every table as a row with raw numbers: the content of tables.csv."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from reports.cells.figures import Figure
from reports.stats.comparison import Rule
from reports.tables.table_cell import TableCell
from reports.tables.tables import Table

_RAW = (
    "outcome",
    "same_as",
    "value",
    "low",
    "high",
    "count",
    "interval",
    "rule",
    "pair_gap_s",
    "not_comparable",
)


def long_form(made: list[Table]) -> pd.DataFrame:
    """Return the cells as a frame, whose columns `long_rows` describes."""
    columns, *rows = long_rows(made)
    return pd.DataFrame(rows, columns=list(columns))


def long_rows(made: list[Table]) -> Iterator[tuple[object, ...]]:
    """Yield the names of the columns, then the values of every cell: tuples, since millions of dictionaries take
    gigabytes.

    Columns: table, the row's axes (`axis.*`), metric, strategy, cuda_streams, nodes, layout, outcome, same_as, value,
    low, high, count, interval (true if low and high bound a 95 % interval, false if they are the range), rule (of a
    comparison: `pairs` of runs of one session or of one of the `seeds`, which `count` counts, or means of different
    `sessions`; of a mean: `sessions` if these are its units), pair_gap_s (largest difference between the starts of the
    runs of one of the `pairs`, seconds), not_comparable (attributes that should agree between the compared cells and do
    not), cautions (names of the whole table's).
    """
    axes = dict.fromkeys(
        name
        for table in made
        for row in table.grid.rows
        for name in (*table.grid.labels, *row.labels, *(table.grid.choice.axes if table.grid.choice else ()))
    )
    for own in ("strategy", "cuda_streams"):
        axes.pop(own, None)
    of_axes = (f"axis.{name}" for name in axes)
    yield ("table", *of_axes, "metric", "strategy", "cuda_streams", "nodes", "layout", *_RAW, "cautions")
    for table in made:
        cautions = ", ".join(table.cautions)
        for block in table.blocks:
            for row, layouts, cells in zip(table.grid.rows, table.layouts, block.cells, strict=True):
                of_row = table.grid.labels | row.labels | {"cuda_streams": row.cuda_streams}
                for nodes, layout, cell in zip(table.grid.nodes, layouts, cells, strict=True):
                    is_chosen = table.grid.choice is not None and nodes in row.cells
                    labels = row.cells[nodes].planned.labels if is_chosen else of_row
                    names = (table.grid.title, *map(labels.get, axes), block.metric.key, labels["strategy"])
                    yield (*names, labels["cuda_streams"], nodes, layout, *_raw(cell), cautions)


def _rule(figure: Figure) -> str:
    if figure.comparison is None:
        return str(Rule.SESSIONS) if figure.sessions else ""
    return "" if figure.comparison.rule is Rule.ITSELF else str(figure.comparison.rule)


def _raw(cell: TableCell) -> tuple[object, ...]:
    """Return the values of `_RAW`."""
    same_as = cell.same_as.removeprefix("= ")
    if cell.figure is None:
        return cell.outcome, same_as, None, None, None, 0, False, "", None, ""
    estimate, comparison = cell.figure.estimate, cell.figure.comparison
    return (
        cell.outcome,
        same_as,
        estimate.value,
        estimate.low,
        estimate.high,
        estimate.size,
        estimate.is_interval,
        _rule(cell.figure),
        comparison.gap if comparison else None,
        "; ".join(cell.figure.differing),
    )
