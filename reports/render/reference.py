"""The tables of docs/reference/metrics.md, generated from the columns, metrics and cautions that they describe.

`python -m reports.render.reference`, in the root of the repository, updates the page.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.contract.results.outcomes import Caution
from reports.cells.metrics import METRICS
from reports.data.columns.base import Column
from reports.data.columns.measured import LOSS, MACHINE, MEMORY, SAVING, SPEED, UTILISATION
from reports.data.columns.origin import ORIGIN
from reports.data.columns.parts import PARTS
from reports.data.columns.settings import CELL, LAYOUT, PREDICTED, SETTINGS
from reports.data.columns.status import ATTEMPT, STATUS
from reports.data.columns.target import TARGET

PAGE = Path("docs/reference/metrics.md")

_GENERATED = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_COLUMNS: dict[str, tuple[Column[Any], ...]] = {
    "status": (*STATUS, *ATTEMPT),
    "settings": (*CELL, *LAYOUT, *SETTINGS, *PREDICTED),
    "speed": SPEED,
    "memory": MEMORY,
    "utilisation": UTILISATION,
    "machine": MACHINE,
    "parts": PARTS,
    "loss": (*LOSS, *TARGET),
    "saving": SAVING,
    "origin": ORIGIN,
}


def regenerated(page: str) -> str:
    """Return the page with the tables between its marks generated from the code."""
    tables = _tables()
    return _GENERATED.sub(lambda found: f"{found[1]}\n{tables[found[2]]}\n{found[3]}", page)


def _tables() -> dict[str, str]:
    made = {
        name: _table(("column", "meaning"), ((f"`{column.name}`", column.meaning) for column in columns))
        for name, columns in _COLUMNS.items()
    }
    made["figures"] = _table(
        ("metric in tables.csv", "title", "figure"),
        (
            (
                f"`{metric.key}`",
                metric.title.format(reference="the reference", row="the reference row"),
                metric.meaning,
            )
            for metric in METRICS
        ),
    )
    made["cautions"] = _table(
        ("caution", "what it is", "what to do"),
        ((f"`{caution}`", caution.meaning, caution.remedy) for caution in Caution),
    )
    return made


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [_line(head), "|" + "---|" * len(head), *map(_line, rows)]
    return "".join(f"{line}\n" for line in lines)


def _line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    PAGE.write_text(regenerated(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
