"""What a table's reader is warned of, where it applies, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass

from bench.contract.measured import Measured
from bench.contract.outcomes import Caution
from bench.contract.run import Run
from reports.data.comparable import Kind, differences
from reports.data.frame import Sweep
from reports.stats.intervals import FEWEST_FOR_INTERVAL
from reports.tables.figures import Reference, damaged
from reports.tables.grid import Grid, Point


@dataclass(frozen=True)
class Notice:
    """A caution of one table, with the place or the attribute that it is about."""

    caution: Caution
    detail: str = ""

    @property
    def text(self) -> str:
        """`oversubscribed (2 nodes): what it is; what to do`."""
        where = f" ({self.detail})" if self.detail else ""
        return f"{self.caution}{where}: {self.caution.meaning}; {self.caution.remedy}."


def notices(grid: Grid, sweep: Sweep, reference: Reference) -> list[Notice]:
    """All cautions of a table, in the order of the closed list."""
    found = [
        *_measured(grid),
        *_few_repeats(grid),
        *_not_comparable(grid, sweep),
        *([] if reference.completed else [Notice(Caution.NO_REFERENCE, str(reference))]),
        *_damaged(grid),
    ]
    return sorted(found, key=lambda notice: list(Caution).index(notice.caution))


def _measured(grid: Grid) -> list[Notice]:
    """Cautions that the runs brought with them; where not all runs did, the rows and nodes that did are named."""
    places: dict[str, set[tuple[str, int]]] = {}
    everywhere = set()
    for row in grid.rows:
        for nodes, point in row.points.items():
            if point.completed:
                everywhere.add((row.label, nodes))
            for record in point.completed:
                for caution in filter(None, record["cautions"].split(", ")):
                    places.setdefault(caution, set()).add((row.label, nodes))
    return [Notice(Caution(caution), _where(touched, everywhere)) for caution, touched in places.items()]


def _where(touched: set[tuple[str, int]], everywhere: set[tuple[str, int]]) -> str:
    if touched == everywhere:
        return ""
    rows, nodes = {row for row, _ in touched}, {count for _, count in touched}
    if touched == {place for place in everywhere if place[1] in nodes}:
        return f"on {', '.join(str(count) for count in sorted(nodes))} nodes"
    if touched == {place for place in everywhere if place[0] in rows}:
        return ", ".join(sorted(rows))
    return ", ".join(f"{row} on {count}" for row, count in sorted(touched))


def _few_repeats(grid: Grid) -> list[Notice]:
    counts = [len(point.completed) for point in grid.points if point.completed]
    return [Notice(Caution.FEW_REPEATS)] if counts and min(counts) < FEWEST_FOR_INTERVAL else []


def _damaged(grid: Grid) -> list[Notice]:
    runs = dict.fromkeys(
        record["run"]
        for point in grid.points
        if damaged(point)
        for record in point.records
        if record["outcome"] == "damaged"
    )
    return [Notice(Caution.DAMAGED_RESULT, ", ".join(runs))] if runs else []


def _not_comparable(grid: Grid, sweep: Sweep) -> list[Notice]:
    """One notice for each attribute that differs along a column (strategies) or a row (node counts)."""
    columns = [[row.points[nodes] for row in grid.rows if nodes in row.points] for nodes in grid.nodes]
    rows = [list(row.points.values()) for row in grid.rows]
    found: dict[str, None] = {}
    lines: list[tuple[Kind, list[Point]]] = [("across-strategies", points) for points in columns]
    lines += [("across-nodes", points) for points in rows]
    for kind, points in lines:
        found |= dict.fromkeys(differences(kind, _documents(points, sweep)))
    return [Notice(Caution.NOT_COMPARABLE, attribute) for attribute in found]


def _documents(points: list[Point], sweep: Sweep) -> list[tuple[Run, Measured]]:
    documents = []
    for identity in dict.fromkeys(record["run"] for point in points for record in point.completed):
        measured = sweep.results[identity].measured
        if measured is not None:
            documents.append((sweep.runs[identity], measured))
    return documents
