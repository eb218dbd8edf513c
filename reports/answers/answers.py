"""What a sweep found, in sentences that stand at the top of the report: each claims what the comparisons show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import comb, isfinite

from bench.contract.results.outcomes import Bearing, Caution, Outcome
from reports.answers.first_there import Racer, first_there
from reports.answers.rivals import Rival, claims, repeats_needed, rival
from reports.cells.comparability import Comparability
from reports.cells.figures import Figure, mean_of
from reports.cells.grid import CellRuns, Row
from reports.cells.metrics import BY_KEY, LEAST_LOSS
from reports.data.words import counted
from reports.stats.comparison import Comparison, Rule
from reports.stats.verdicts import ALPHA, Verdict, verdicts
from reports.tables.findings import NO_FINDING, by_verdict
from reports.tables.notices import Notice
from reports.tables.tables import Table

_SPEED = "tokens_per_s"


@dataclass(frozen=True)
class _Place:
    """A row on one node count, with runs that completed and that no row above shows."""

    row: Row
    nodes: int
    cell: CellRuns
    speed: float


def answers(comparability: Comparability, made: Sequence[Table]) -> list[str]:
    """Return what was found on speed, loss and memory, table by table, and what could not be told.

    Args:
        comparability: of the runs in `made`.
        made: the tables.

    """
    return [*_no_findings(made), *(sentence for table in made for sentence in _of_table(table, comparability))]


def _no_findings(made: Sequence[Table]) -> Iterator[str]:
    """Say of which tables the speeds are no finding, and why: once for all tables of one reason."""
    by_reason: dict[str, list[str]] = {}
    for table in made:
        if (notice := _forbidding(table)) is not None and any(len(each) > 1 for each in _by_nodes(table).values()):
            named = f"{notice.caution} {notice.detail}".strip()
            reason = (
                f"{NO_FINDING[notice.caution]} ({named}), so its speeds are no finding about {table.grid.compared}."
            )
            by_reason.setdefault(reason, []).append(table.grid.title)
    for reason, titles in by_reason.items():
        yield f"{'; '.join(titles)}: {reason}"


def _forbidding(table: Table) -> Notice | None:
    return next((notice for notice in table.notices if notice.caution in NO_FINDING), None)


def _by_nodes(table: Table) -> dict[int, list[_Place]]:
    return {nodes: list(found) for nodes, found in groupby(_places(table), lambda place: place.nodes)}


def _of_table(table: Table, comparability: Comparability) -> Iterator[str]:
    by_nodes = _by_nodes(table)
    if _forbidding(table) is None:
        yield from _speeds(table, by_nodes, comparability)
        yield from _targets(table, by_nodes, comparability)
    yield from _losses(table, [place for places in by_nodes.values() for place in places])
    yield from _memory(table)


def _places(table: Table) -> Iterator[_Place]:
    """Yield the cells of each node count, by ascending nodes; of several with the same runs the first."""
    shown = set()
    for nodes in table.grid.nodes:
        for row in table.grid.rows:
            cell = row.cells.get(nodes)
            speed = mean_of(BY_KEY[_SPEED], cell) if cell else None
            if cell and speed is not None and tuple(cell.planned.runs) not in shown:
                shown.add(tuple(cell.planned.runs))
                yield _Place(row, nodes, cell, speed.estimate.value)


def _speeds(table: Table, by_nodes: dict[int, list[_Place]], comparability: Comparability) -> Iterator[str]:
    """Say for each node count which row is fastest, by how much and with what certainty."""
    pairs = _pairs(by_nodes)
    leaders: dict[int, str] = {}
    for nodes, places in by_nodes.items():
        if len(places) < 2:
            continue
        fastest = max(places, key=lambda place: place.speed)
        others = [place for place in places if place is not fastest]
        apart = [place for place in others if _differ(fastest, place, comparability)]
        rivals = [
            made
            for place in others
            if place not in apart
            and (made := rival(place.row.label, fastest.cell, place.cell, _SPEED, pairs, rate=True))
        ]
        where = f"{table.grid.title}, on {counted(nodes, 'node')}"
        leaders[nodes] = fastest.row.label if not apart and all(each.is_beaten for each in rivals) else ""
        lead = _lead(table, fastest, rivals, [place.row.label for place in apart], pairs)
        comparable = [place for place in places if place not in apart]
        yield f"{where}: {lead}{_doubts(table)}. {_price(table, fastest, comparable)}"
        yield from _untold(fastest, rivals, pairs)
    named = {nodes: leader for nodes, leader in leaders.items() if leader}
    if len(set(named.values())) > 1:
        order = "; ".join(f"{leader} on {counted(nodes, 'node')}" for nodes, leader in named.items())
        yield f"{table.grid.title}: the order changes with the number of nodes. Fastest: {order}."


def _pairs(by_nodes: dict[int, list[_Place]]) -> int:
    """Return the number of pairs of rows that a best one is chosen from, over all node counts of a table."""
    return sum(comb(len(places), 2) for places in by_nodes.values())


def _differ(one: _Place, other: _Place, comparability: Comparability) -> bool:
    return bool(comparability.differences("across-strategies", one.cell, other.cell))


def _lead(table: Table, fastest: _Place, rivals: list[Rival], apart: list[str], pairs: int) -> str:
    """Return what is claimed of the fastest row; `apart` are rows that it is not comparable with."""
    slower = [each for each in rivals if each.is_beaten]
    figure = _figure(table, "ratio", fastest)
    times = (
        f" ({BY_KEY['ratio'].text(figure.estimate)} times {table.reference.label}'s tokens/s)"
        if figure is not None and not figure.differing and fastest.row is not table.reference.row
        else ""
    )
    is_fastest = slower and slower == rivals and not apart
    is_equal = not slower and not apart and all(each.comparison.p_value is not None for each in rivals)
    parts = ["no difference seen"] if is_equal else []
    parts += [f"{fastest.row.label} {'is fastest' if is_fastest else 'has the highest mean'}{times}"]
    parts += claims(rivals, pairs, "faster")
    parts += [f"not comparable with {', '.join(apart)} (see the table's cautions)"] if apart else []
    return "; ".join(parts)


def _doubts(table: Table) -> str:
    names = [caution for caution in table.cautions if caution.speed is not Bearing.NONE]
    return f" (the table has the cautions {', '.join(names)})" if names else ""


def _doubt(table: Table, caution: Caution) -> str:
    return f" (the table has the caution {caution})" if caution in table.cautions else ""


def _price(table: Table, fastest: _Place, places: list[_Place]) -> str:
    """Say what a billion tokens cost in node-hours, with the fastest row and with the reference's."""
    own = f"10^9 tokens take {_node_hours(fastest)} node-hours"
    base = next((place for place in places if place.row is table.reference.row and place is not fastest), None)
    return f"{own}, with {base.row.label} {_node_hours(base)}." if base else f"{own}."


def _node_hours(place: _Place) -> str:
    hours = place.nodes * 1e9 / place.speed / 3600
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.3g}"


def _untold(fastest: _Place, rivals: list[Rival], pairs: int) -> Iterator[str]:
    """Say how many repeats would show the differences that were seen and not shown, if they are real."""
    by_need: dict[str, list[str]] = {}
    for each in rivals:
        if not each.is_beaten:
            by_need.setdefault(repeats_needed(each.comparison, pairs), []).append(each.label)
    needs = "; ".join(f"than {', '.join(labels)}: {need}" for need, labels in by_need.items())
    if needs:
        yield f"To show that {fastest.row.label} is faster on {counted(fastest.nodes, 'node')} {needs}."


def _targets(table: Table, by_nodes: dict[int, list[_Place]], comparability: Comparability) -> Iterator[str]:
    """Say for each node count which row reaches the target loss first."""
    for nodes, places in by_nodes.items():
        base = next((place for place in places if place.row is table.reference.row), None)
        if base is None:
            continue
        compared = [base, *(place for place in places if place is not base and not _differ(base, place, comparability))]
        rows = [Racer(place.row.label, place.cell, _figure(table, "target_ratio", place)) for place in compared]
        is_given = comparability.sweep.plan.target_loss is not None
        if sentence := first_there(rows, table.reference.label, _pairs(by_nodes), is_given=is_given):
            doubt = _doubt(table, Caution.BF16_LOSS)
            yield f"{table.grid.title}, on {counted(nodes, 'node')}: {sentence}{doubt}."


_LOSSES = {Verdict.HIGHER: "higher", Verdict.LOWER: "lower", Verdict.NO_DIFFERENCE: "no difference seen"}


def _losses(table: Table, places: list[_Place]) -> Iterator[str]:
    """Say which validation losses differ from the reference's, after the same tokens on the same nodes."""
    compared = list(_loss_differences(table, places))
    judged = [(made.estimate.value, None if _is_rounding(made) else made.p_value) for _, made in compared]
    adjusted_for = sum(p_value is not None for _, p_value in judged)
    names, found = [], []
    for (place, made), (_, p_value), verdict in zip(compared, judged, verdicts(judged), strict=True):
        found.append(Verdict.NO_DIFFERENCE if _is_rounding(made) else verdict)
        text = BY_KEY["loss_difference"].text(made.estimate)
        if found[-1] is not Verdict.NO_DIFFERENCE:
            names.append(f"{place} ({text})")
        elif p_value is not None and p_value < ALPHA:
            names.append(f"{place} ({text}, but adjusted for {adjusted_for} comparisons)")
        else:
            names.append(place)
    if said := by_verdict(names, found, _LOSSES):
        said += _doubt(table, Caution.SHARED_DATA)  # as many tokens, and not as many distinct ones
        yield f"{table.grid.title}: validation loss minus {table.reference.label}'s after the same tokens: {said}."


def _is_rounding(made: Comparison) -> bool:
    """Return whether a difference of losses is not more than rounding: never called, so not one of those counted."""
    return made.p_value is not None and abs(made.estimate.value) < LEAST_LOSS


def _loss_differences(table: Table, places: list[_Place]) -> Iterator[tuple[str, Comparison]]:
    """Yield the cells with a difference that can be judged; pure bf16 is too coarse for it."""
    for place in places:
        figure = _figure(table, "loss_difference", place)
        made = figure.comparison if figure and not figure.differing else None
        if made is None or made.rule is Rule.ITSELF or not isfinite(made.estimate.value):
            continue
        assert table.reference.row is not None, "there is a difference to it"
        cells = (place.cell, table.reference.row.cells[place.nodes])
        if not any(record["precision"] == "bf16" for cell in cells for record in cell.completed):
            yield f"{place.row.label} on {counted(place.nodes, 'node')}", made


def _memory(table: Table) -> Iterator[str]:
    endings = (Outcome.OOM, Outcome.OOM_INFERRED)
    cells = [
        f"{row.label} on {counted(nodes, 'node')}"
        for row, nodes, cell in table.grid.places()
        if not cell.completed and any(record["outcome"] in endings for record in cell.records)
    ]
    if cells:
        yield f"{table.grid.title}: does not fit in memory: {', '.join(cells)}."


def _figure(table: Table, key: str, place: _Place) -> Figure | None:
    row, column = table.grid.rows.index(place.row), table.grid.nodes.index(place.nodes)
    return next((block.cells[row][column].figure for block in table.blocks if block.metric.key == key), None)
