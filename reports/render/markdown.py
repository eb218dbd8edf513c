"""The report as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from reports.data.words import counted
from reports.tables.tables import LAYOUT, Table


def section(table: Table, plots: Sequence[tuple[str, str]]) -> str:
    """One table with caption, footnotes, cautions and plots; `plots` are (what it shows, relative link)."""
    parts = [f"## {table.grid.title}", table.caption, _grid(table)]
    if table.footnotes:
        parts.append("\n".join(f"- [{number}] {_safe(text)}" for number, text in enumerate(table.footnotes, start=1)))
    if table.notices:
        parts.append("Cautions:\n\n" + "\n".join(f"- {_safe(notice.text)}" for notice in table.notices))
    parts += [f"![{shows}]({link})" for shows, link in plots]
    return "\n\n".join(parts) + "\n"


def _grid(table: Table) -> str:
    head = ["figure", "strategy", *(counted(nodes, "node") for nodes in table.grid.nodes)]
    lines = [_line(head), _line(["---", "---", *("---:" for _ in table.grid.nodes)])]
    blocks = [(LAYOUT, table.layouts)]
    blocks += [(block.title, [[cell.text for cell in line] for line in block.cells]) for block in table.blocks]
    for title, texts in blocks:
        for number, (row, cells) in enumerate(zip(table.grid.rows, texts, strict=True)):
            lines.append(_line(["" if number else f"**{title}**", row.label, *cells]))
    return "\n".join(lines)


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(_safe(cell) for cell in cells) + " |"


def _safe(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
