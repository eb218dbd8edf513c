"""The report as Markdown: report.md."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from bench.contract.results.breakdown import Part
from reports.data.words import counted
from reports.render.base import BREAKDOWN, Export, Picture, Report
from reports.tables.parts import Breakdown, StepParts, time_text
from reports.tables.tables import Table

REPORT = "report.md"

HOW_TO_READ = """\
A value is the mean over the completed repeats, of rates, times and energies the geometric mean; where \
several of them ran in each of several allocations, the mean over the allocations' means. A ratio is exp of \
the mean log-ratio over pairs: the same repeat of both in one session, which is one allocation or one local call of \
`run`. Runs of different sessions are no pairs: there the means of sessions are compared (Welch), and the cell says \
so. A difference of losses is the mean over pairs of one seed (the same repeat), whatever their sessions. `a ± b` and \
`a [low, high]` are plain 95 % t-intervals (3 or more repeats, pairs or sessions; not adjusted for the number of \
cells, as the verdicts under a table are), `a (low .. high)` is the range of 2, or of the runs \
of one allocation, and a number alone has no spread. \
Repeats differ in the seed of weights and data, so the spread of a loss includes that noise, and a difference of \
losses does not. `(= fsdp)` marks a combination that equals the one of another strategy and shows its runs. A cell \
without a value shows the outcome of its runs.
"""

WHERE_TIME_GOES = """\
By runs of their own, which enter no figure above: noting the parts of a step costs time. A part's time is the mean \
over the window's steps and over ranks, then over these runs, so that the parts add up to the whole step; waiting for \
a slower rank counts in the part in which a rank waits. docs/reference/metrics.md says what each part contains.\
"""


def export(report: Report) -> Export:
    """Return report.md, with the SVG pictures of earlier exporters embedded."""
    parts = [f"# {report.sweep.plan.sweep}\n\n{report.summary}.\n"]
    if report.answers:
        parts.append("## What was found\n\n" + "\n".join(f"- {_safe(answer)}" for answer in report.answers) + "\n")
    parts.append(f"## How to read the tables\n\n{HOW_TO_READ}")
    if report.problems:
        parts.append("## Left out\n\n" + "\n".join(f"- {problem}" for problem in report.problems) + "\n")
    for table in report.tables:
        embedded = [
            picture for picture in report.pictures if picture.table == table.grid.slug and picture.file.endswith(".svg")
        ]
        parts.append(_section(table, embedded))
    return Export({REPORT: "\n".join(parts)})


def _section(table: Table, pictures: Sequence[Picture]) -> str:
    """Return one table with caption, footnotes, cautions and pictures."""
    parts = [f"## {table.grid.title}", table.caption, _grid(table)]
    parts += [" ".join(table.findings)] if table.findings else []
    if table.footnotes:
        parts.append("\n".join(f"- [{number}] {_safe(text)}" for number, text in enumerate(table.footnotes, start=1)))
    if table.notices:
        parts.append("Cautions:\n\n" + "\n".join(f"- {_safe(notice.text)}" for notice in table.notices))
    of_parts = [picture for picture in pictures if picture.subject == BREAKDOWN]
    parts += [_image(picture) for picture in pictures if picture not in of_parts]
    if table.breakdown is not None:
        parts += [f"### Breakdown of a step: {table.grid.title}", *_breakdown(table, table.breakdown)]
        parts += map(_image, of_parts)
    return "\n\n".join(parts) + "\n"


def _image(picture: Picture) -> str:
    return f"![{picture.shows}]({picture.file})"


def _breakdown(table: Table, breakdown: Breakdown) -> Iterator[str]:
    """Yield the paragraphs on breakdown runs, and their table."""
    cautions = f" Their cautions: {', '.join(breakdown.cautions)}." if breakdown.cautions else ""
    yield f"{WHERE_TIME_GOES} These runs: {breakdown.outcomes}.{cautions}"
    if not breakdown.cells:
        return
    head = ["part", table.grid.compared, *(counted(nodes, "node") for nodes in table.grid.nodes)]
    lines = [_line(head), _line(["---", "---", *("---:" for _ in table.grid.nodes)])]
    titles: list[tuple[str, Callable[[StepParts], str]]] = [("whole step", lambda cell: time_text(cell.step))]
    titles += [(part.value, partial(StepParts.text, part=part)) for part in Part]
    for title, text in titles:
        for number, row in enumerate(table.grid.rows):
            cells = [breakdown.cell(row, nodes) for nodes in table.grid.nodes]
            shown = [text(cell) if cell else "not measured" for cell in cells]
            lines.append(_line(["" if number else f"**{title}**", row.label, *shown]))
    yield "\n".join(lines)


def _grid(table: Table) -> str:
    head = ["metric", table.grid.compared, *(counted(nodes, "node") for nodes in table.grid.nodes)]
    lines = [_line(head), _line(["---", "---", *("---:" for _ in table.grid.nodes)])]
    blocks = table.texts
    blocks += [block.texts for block in table.blocks]
    for title, texts in blocks:
        for number, (row, cells) in enumerate(zip(table.grid.rows, texts, strict=True)):
            lines.append(_line(["" if number else f"**{title}**", row.label, *cells]))
    return "\n".join(lines)


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(_safe(cell) for cell in cells) + " |"


def _safe(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
