"""Scaling tables, as all export formats use them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.contract.results.outcomes import Caution
from reports.cells.best import best_grids
from reports.cells.comparability import Comparability
from reports.cells.figures import NOT_REACHED, ending, figure_of
from reports.cells.grid import CellRuns, Grid, grids
from reports.cells.metrics import METRICS, Metric
from reports.cells.table_reference import TableReference, reference_of
from reports.cells.targets import targets_text, with_targets
from reports.cells.trained_tokens import unequal_tokens
from reports.data.words import counted
from reports.stats.comparison import Comparison
from reports.stats.intervals import FEWEST_FOR_INTERVAL
from reports.tables.caption import caption
from reports.tables.findings import PLAIN, findings
from reports.tables.notices import Notice, notices
from reports.tables.parts import Breakdown, breakdown
from reports.tables.table_cell import TableCell, cell_of, place_of

LAYOUT = "layout: federation x replicate x shard"
"""Title of the first block of every table."""
CONFIGURATION = "best configuration"
"""Title of the block before it, where configurations were chosen."""


@dataclass(frozen=True)
class Block:
    """One metric for all rows and node counts."""

    metric: Metric
    title: str
    cells: list[list[TableCell]]
    """Row by row, in the order of the grid's rows and nodes."""

    @property
    def texts(self) -> tuple[str, list[list[str]]]:
        """Title and texts of the cells."""
        return self.title, [[cell.text for cell in line] for line in self.cells]


@dataclass(frozen=True)
class Table:
    """A table: values of the compared axes as rows, nodes as columns, and a block of rows for each metric."""

    grid: Grid
    caption: str
    reference: TableReference
    layouts: list[list[str]]
    """F x R x S, row by row, in the order of the grid's nodes."""
    blocks: list[Block]
    footnotes: list[str]
    """Why runs failed or combinations are impossible; cells refer to them as `[1]`, `[2]`, ..."""
    notices: list[Notice]
    findings: list[str]
    """What the comparisons of rows on the same nodes show, in sentences, and how to take the intervals."""
    breakdown: Breakdown | None = None
    """Where the time of a step goes, by runs that are in none of the blocks; None without such runs."""

    @property
    def texts(self) -> list[tuple[str, list[list[str]]]]:
        """Titles and texts of what its cells are: layouts and, where they were chosen, configurations."""
        choice = self.grid.choice
        if choice is None:
            return [(LAYOUT, self.layouts)]
        configurations = [
            [choice.configuration(row.cells[nodes]) if nodes in row.cells else "" for nodes in self.grid.nodes]
            for row in self.grid.rows
        ]
        return [(CONFIGURATION, configurations), (LAYOUT, self.layouts)]

    @property
    def cautions(self) -> list[Caution]:
        """Cautions of its notices, each once."""
        return list(dict.fromkeys(notice.caution for notice in self.notices))


def tables(comparability: Comparability) -> list[Table]:
    """Return all scaling tables of a sweep, in the order of its plan; those of best configurations come first."""
    return list(each_table(comparability))


def each_table(comparability: Comparability) -> Iterator[Table]:
    """Yield them as they are made, which takes a while where they are many."""
    sweep = comparability.sweep
    made = grids(sweep)
    for grid in (*best_grids(made, sweep.plan), *made):
        yield _table(with_targets(grid, sweep), comparability)


def _table(grid: Grid, comparability: Comparability) -> Table:
    sweep = comparability.sweep
    reference = reference_of(grid, sweep.plan)
    footnotes: dict[str, int] = {}
    unequal = unequal_tokens(grid)
    places = [[place_of(row.cells.get(nodes), footnotes) for nodes in grid.nodes] for row in grid.rows]
    blocks = []
    for metric in METRICS:
        if metric.optional and not grid.has("target_loss" if metric.to_target else metric.column):
            continue
        title = metric.title.format(reference=reference, row=reference.label)
        cells = [
            [
                cell_of(
                    metric,
                    place,
                    figure_of(metric, grid, row, nodes, reference, comparability),
                    unequal.note(index, nodes, place.cell)
                    if place.cell and metric.at_tokens and metric.against is None
                    else "",
                )
                for nodes, place in zip(grid.nodes, of_row, strict=True)
            ]
            for index, (row, of_row) in enumerate(zip(grid.rows, places, strict=True))
        ]
        shown = any(cell.figure or cell.outcome == NOT_REACHED for line in cells for cell in line)
        if not metric.optional or (shown and _is_unlike(metric, grid)):
            blocks.append(Block(metric, title, cells))
    layouts = [[_layout(row.cells.get(nodes)) for nodes in grid.nodes] for row in grid.rows]
    noticed = notices(grid, comparability, reference, unequal, _with_few_pairs(grid, blocks))
    return Table(
        grid,
        caption(grid, sweep, targets_text(grid, reference, sweep.plan), grid.choice.text if grid.choice else ""),
        reference,
        layouts,
        blocks,
        list(footnotes),
        noticed,
        [
            *findings(_compared(grid, blocks), reference.label, noticed),
            *([PLAIN] if any(cell.has_interval for block in blocks for line in block.cells for cell in line) else []),
        ],
        breakdown(grid, sweep),
    )


def _is_unlike(metric: Metric, grid: Grid) -> bool:
    """Return True if the metric does not repeat the column that it must be unlike."""
    return metric.unlike is None or any(
        cell.figures(metric.column) != cell.figures(metric.unlike) for cell in grid.cells
    )


def _with_few_pairs(grid: Grid, blocks: list[Block]) -> list[str]:
    """Return the cells with enough repeats of which some comparison has no interval all the same, row by row."""
    return [
        f"{row.label} on {nodes}"
        for place, row in enumerate(grid.rows)
        for column, nodes in enumerate(grid.nodes)
        if nodes in row.cells
        and len(row.cells[nodes].completed) >= FEWEST_FOR_INTERVAL
        and any((figure := block.cells[place][column].figure) and figure.lacks_interval for block in blocks)
    ]


def _compared(grid: Grid, blocks: list[Block]) -> list[tuple[str, Comparison]]:
    """Return the ratios to the reference's row on the same nodes of comparable cells, each that shows its own runs
    once.
    """
    compared: dict[tuple[str, ...], tuple[str, Comparison]] = {}
    for block in blocks:
        for row, cells in zip(grid.rows, block.cells, strict=True):
            for nodes, cell in zip(grid.nodes, cells, strict=True):
                made = cell.figure.comparison if block.metric.key == "ratio" and cell.figure else None
                if made is not None and cell.figure is not None and not cell.figure.differing:
                    name = f"{row.label} on {counted(nodes, 'node')}"
                    compared.setdefault(tuple(row.cells[nodes].planned.runs), (name, made))
    return list(compared.values())


def _layout(cell: CellRuns | None) -> str:
    layout = cell.planned.layout if cell else None
    if layout is None:
        return ending(cell)
    return f"{layout.federation} x {layout.replicate} x {layout.shard}"
