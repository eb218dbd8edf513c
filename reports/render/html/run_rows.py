"""The table of all runs, and the provenance that they share or not."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

from reports.data.columns.frame_schema import AXIS
from reports.data.columns.origin import ORIGIN
from reports.data.frame import Record
from reports.data.words import shown
from reports.render.html.axis_places import AxisPlaces
from reports.render.html.numbers import short

MOST_RUNS = 5000
"""Runs in the page's table; runs.csv has all."""
_FIGURES = {
    "tokens_per_s": "tokens/s",
    "step_s_median": "median step (s)",
    "peak_memory_gib": "peak memory (GiB)",
    "state_gib": "state (GiB)",
    "mfu": "MFU",
    "loss_final": "final loss (nats/token)",
    "loss_validation": "validation loss (nats/token)",
    "gpu_j_per_token": "GPU energy (J/token)",
    "node_hours": "node-hours",
    "elapsed_s": "elapsed (s)",
}
"""Columns of numbers, with their titles."""
_TEXTS = ("cautions", "started", "session", "hosts")
_ATTRIBUTES = ("system", *(column.name for column in ORIGIN if column.name != "seats"))
ORIGINS = ("started", *_ATTRIBUTES)
"""Columns that `origins` reads."""
_MOST_VALUES = 12
"""Values of one attribute that the page lists."""


def run_rows(records: list[Record], places: AxisPlaces) -> dict[str, Any]:
    """Return columns with titles, rows of the runs, and the places of their axes; empty columns are left out."""
    names = ["run", "repeat", "outcome", *(AXIS + axis for axis in places.axes), *_FIGURES, *_TEXTS]
    kept = [name for name in names if any(record.get(name) not in (None, "") for record in records)]
    return {
        "columns": [name.removeprefix(AXIS) for name in kept],
        "titles": [_FIGURES.get(name, name.removeprefix(AXIS).replace("_", " ")) for name in kept],
        "rows": [
            [short(record.get(name)) if name in _FIGURES else record.get(name) for name in kept] for record in records
        ],
        "places": [list(places.of_run(str(record["run"])).values()) for record in records],
    }


@dataclass(frozen=True)
class Origin:
    """One attribute of provenance: its values, each with the number of runs that have it."""

    name: str
    values: list[tuple[str, int]]
    more: int
    """Values that are not listed."""


def origins(records: list[Record]) -> list[Origin]:
    """Return the provenance of the runs with results, attribute by attribute; one that no run has is left out."""
    found = []
    for column in _ATTRIBUTES:
        values = (record[column] for record in records if record.get("started") and record.get(column) is not None)
        counts = Counter(text for value in values for text in _readable(column, value))
        if counts:
            listed = counts.most_common(_MOST_VALUES)
            found.append(Origin(column, listed, len(counts) - len(listed)))
    return found


def _readable(column: str, value: object) -> set[str]:
    """Return a value as texts: every host by itself, and a mapping in JSON as `torch 2.8.0, numpy 2.1`."""
    text = shown(value)
    if column == "hosts":
        return set(text.split(", "))
    if text.startswith("{"):
        text = ", ".join(f"{name} {of_name}" for name, of_name in json.loads(text).items())
    return {text} - {""}
