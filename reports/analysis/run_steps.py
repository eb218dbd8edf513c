"""The steps of all runs of several sweeps as one tidy frame."""

from __future__ import annotations

from functools import cache, partial
from os import PathLike

import pandas as pd

from bench.contract.storage.files import RunFolder
from reports.analysis.sweeps import SweepOfNight, sweeps
from reports.analysis.tidy import finished, row_columns
from reports.cells.grid import grids
from reports.data.step_table import StepTable

_MEANINGS = {
    "step": "index of the optimizer step, from 0",
    "group": "index of the federated group, from 0",
    "seconds": "duration of the step on the group's slowest rank",
    "tokens": "tokens that the group trained in this step",
    "loss": "mean training loss of these tokens",
    "in_window": "whether the step is measured, after the warm-up",
}
_TEXTS = ("sweep", "night", "folder", "table", "combination", "row", "strategy", "run")


def steps(*folders: str | PathLike[str]) -> pd.DataFrame:
    """Return the implementation of `reports.steps`."""
    parts: list[pd.DataFrame] = []
    problems: list[str] = []
    for sweep in sweeps(folders):
        read, origin = cache(partial(_steps_of, sweep)), sweep.origin
        for grid in grids(sweep.read):
            for row, nodes, cell in grid.places():
                place = origin | row_columns(grid, row, nodes) | {"nodes": nodes}
                runs = [(str(record["run"]), record["repeat"]) for record in cell.records]
                parts += [
                    read(run).assign(**place, run=run, repeat=repeat)
                    for run, repeat in runs
                    if run in sweep.read.courses
                ]
        problems += sweep.read.problems
    made = pd.concat(parts, ignore_index=True) if parts else _empty()
    first = ["sweep", "night", "folder", "table", "combination", "row", "strategy", "nodes", "run", "repeat"]
    made = made[[*first, *(name for name in made.columns if name not in first)]]
    return finished(made.astype(dict.fromkeys(_TEXTS, "string")), problems, _MEANINGS)


def _steps_of(sweep: SweepOfNight, run: str) -> pd.DataFrame:
    groups = sweep.read.runs[run].layout.federation
    content = RunFolder(sweep.folder / "runs" / run).steps.read_bytes()
    frame: pd.DataFrame = StepTable.read(content, groups).table.to_pandas()
    return frame


def _empty() -> pd.DataFrame:
    """Return the frame of sweeps without any steps."""
    numbers = {"nodes": int, "repeat": int, "step": int, "group": int, "seconds": float, "tokens": int, "loss": float}
    kinds = dict.fromkeys(_TEXTS, object) | numbers | {"in_window": bool}
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in kinds.items()})
