"""The report on a terminal: the headline metrics of each table, its cautions, and the path of the full report."""

from __future__ import annotations

import re

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from reports.data.words import counted
from reports.render.write import WrittenReport
from reports.tables.notices import Notice
from reports.tables.tables import Table

MOST_TABLES = 12
MOST_ANSWERS = 24
"""The terminal shows at most so many tables and sentences; the report has all."""
_LONGEST_DETAIL = 60
_WHOLE = re.compile(r"\[[^\]]*\]|\([^)]*\)|\S+")
"""What stays on one line: an interval, a note, a word."""


def print_report(written: WrittenReport, console: Console) -> None:
    """Print findings, headline tables, cautions (each explained once), damaged files and the report's path."""
    for sentence in written.answers[:MOST_ANSWERS]:
        console.print(Text(f"• {sentence}"))
    if len(written.answers) > MOST_ANSWERS:
        console.print(f"{len(written.answers) - MOST_ANSWERS} more findings are in the report.")
    if written.answers:
        console.print()
    for table in written.tables[:MOST_TABLES]:
        console.print(_rich(table, console.width))
        for number, text in enumerate(table.footnotes, start=1):
            console.print(Text(f"[{number}] {text}", style="dim"))
        for sentence in table.findings:
            console.print(Text(sentence))
        if table.notices:
            console.print(Text(f"cautions: {', '.join(map(_named, table.notices))}", style="yellow"))
        console.print()
    if len(written.tables) > MOST_TABLES:
        console.print(f"{len(written.tables) - MOST_TABLES} more tables are in the report.\n")
    for text in written.cautions:
        console.print(Text(text, style="yellow"))
    for problem in written.problems:
        console.print(Text(problem, style="red"))
    console.print(Text(f"{written.summary}. The full report: {', '.join(map(str, written.readable))}"))


def _named(notice: Notice) -> str:
    """Return a caution with where it applies, if that is short."""
    return f"{notice.caution} ({notice.detail})" if 0 < len(notice.detail) <= _LONGEST_DETAIL else str(notice.caution)


def _rich(table: Table, width: int) -> RichTable:
    made = RichTable(
        title=Text(table.grid.title, style="bold"),
        caption=Text(table.caption),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
    )
    sections = table.texts[:-1]  # the layouts are in the report
    sections += [block.texts for block in table.blocks if block.metric.headline]
    first = max(map(len, (*(f"  {row.label}" for row in table.grid.rows), *(title for title, _ in sections))))
    columns = len(table.grid.nodes)
    room = (width - first - 4 - 3 * columns) // columns  # without the spaces between columns and at the edges
    made.add_column(table.grid.compared, no_wrap=True)
    for nodes in table.grid.nodes:
        made.add_column(counted(nodes, "node"), justify="right")
    for title, texts in sections:
        made.add_row(Text(title, style="bold cyan"))
        for row, line in zip(table.grid.rows, texts, strict=True):
            made.add_row(Text(f"  {row.label}"), *(_in_lines(text, room) for text in line))
        made.add_section()
    return made


def _in_lines(text: str, room: int) -> Text:
    """Return a cell's text in lines of at most so many letters, if no part that stays whole is longer."""
    lines = [""]
    for part in _WHOLE.findall(text):
        longer = f"{lines[-1]} {part}".lstrip()
        lines[-1:] = [longer] if len(longer) <= room or not lines[-1] else [lines[-1], part]
    return Text("\n".join(lines))
