"""The tables as LaTeX with booktabs: a `tabular` per table for a paper, and a document that shows them all."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from textwrap import wrap

from reports.data.words import counted
from reports.render.base import Export, Report
from reports.tables.tables import Table

FOLDER = "latex"
DOCUMENT = f"{FOLDER}/report.tex"
MOST_LINES = 36
"""Lines of one `tabular`, which no page break divides; a longer table continues in another one."""
_CAUTION_LINE = 60
"""Letters of a line with names of cautions, which should not be the widest of its table."""

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "±": r"$\pm$",
    "\u00d7": r"$\times$",
    "\u2013": "--",
    "\u2212": "$-$",
    "\n": " ",
}

_PREAMBLE = r"""\documentclass{article}
\usepackage{booktabs}
\usepackage[landscape,margin=1cm]{geometry}
\setlength{\parindent}{0pt}
\begin{document}
"""


def export(report: Report) -> Export:
    """Return latex/<table>.tex for each table, and latex/report.tex, which compiles in that folder."""
    files: dict[str, str | bytes] = {f"{FOLDER}/{table.grid.slug}.tex": _tabulars(table) for table in report.tables}
    sections = [f"\\section*{{{escaped(report.sweep.plan.sweep)}}}\n{escaped(report.summary)}.\n"]
    sections += [_section(table) for table in report.tables]
    files[DOCUMENT] = "\n".join([_PREAMBLE, *sections, "\\end{document}\n"])
    return Export(files)


def escaped(text: str) -> str:
    """Return a text that LaTeX prints as it is; letters that a plain pdflatex does not have lose their accents."""
    return "".join(_SPECIAL.get(letter) or _plain(letter) for letter in text)


def _plain(letter: str) -> str:
    if letter.isascii():
        return letter if letter.isprintable() else ""  # no escapes of a log's colours
    return unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode() or "?"


def _section(table: Table) -> str:
    notes = [f"[{number}] {text}" for number, text in enumerate(table.footnotes, start=1)]
    notes += [*table.findings, *(notice.text for notice in table.notices)]
    return "\n\n".join(
        [
            f"\\subsection*{{{escaped(table.grid.title)}}}",
            escaped(table.caption),
            f"\\bigskip\n{{\\footnotesize\\input{{{table.grid.slug}.tex}}}}",
            *(f"{{\\footnotesize {escaped(note)}}}" for note in notes),
            "\\clearpage",
        ]
    )


def _tabulars(table: Table) -> str:
    """Return the table as one `tabular`, or as several below each other; comments say what a document needs."""
    parts = ["% needs \\usepackage{booktabs}", f"% {escaped(table.grid.title)}"]
    parts += [_tabular(table, lines) for lines in _divided(_blocks(table))]
    return "\n".join([parts[0], parts[1], "\n\n\\medskip\n".join(parts[2:])]) + "\n"


def _divided(blocks: Iterable[list[str]]) -> Iterator[list[str]]:
    """Yield the lines of one `tabular` after another; a metric's rows stay together."""
    lines: list[str] = []
    for block in blocks:
        if lines and len(lines) + len(block) > MOST_LINES:
            yield lines
            lines = []
        lines += (["\\addlinespace"] if lines else []) + block
    yield lines


def _tabular(table: Table, lines: list[str]) -> str:
    nodes = table.grid.nodes
    head = _row([escaped(table.grid.compared), *(counted(count, "node") for count in nodes)])
    return "\n".join(
        [
            f"\\begin{{tabular}}{{l{'r' * len(nodes)}}}",
            "\\toprule",
            head,
            "\\midrule",
            *lines,
            "\\bottomrule",
            "\\end{tabular}",
        ]
    )


def _blocks(table: Table) -> Iterator[list[str]]:
    """Yield the lines of each metric: its title, and a line for each row; then the names of the table's cautions."""
    texts = table.texts
    texts += [block.texts for block in table.blocks]
    columns = 1 + len(table.grid.nodes)
    for title, rows in texts:
        yield [
            f"\\multicolumn{{{columns}}}{{l}}{{\\textbf{{{escaped(title)}}}}} \\\\",
            *(
                _row([f"\\quad {escaped(row.label)}", *map(escaped, cells)])
                for row, cells in zip(table.grid.rows, rows, strict=True)
            ),
        ]

    if table.cautions:  # also in a paper, which has no other part of the report
        names = wrap(f"cautions: {', '.join(table.cautions)}", _CAUTION_LINE, break_on_hyphens=False)
        yield [f"\\multicolumn{{{columns}}}{{l}}{{\\footnotesize {escaped(line)}}} \\\\" for line in names]


def _row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + " \\\\"
