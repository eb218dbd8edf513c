"""Sweeps as data: `import reports; reports.load("results/*/nightly")`.

Importing this is cheap: pandas and what reads sweeps are imported by the first call. docs/guides/analysis.ipynb shows
how to go on from a frame, docs/guides/reports.md describes its columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from os import PathLike

    import pandas as pd

__all__ = ["compare", "load", "scaling_table", "steps"]


def load(*folders: str | PathLike[str]) -> pd.DataFrame:
    """Return all timed runs of sweeps: one row for each repeat of each combination, whatever its outcome.

    `folder`, `combination` and `repeat` identify a row. A combination that equals another has rows of its own with
    that one's runs, and `same_as` names it; impossible combinations have none. `frame.attrs` has the columns'
    `units` and `meanings`, and one sentence for each damaged file in `problems`.

    Args:
        folders: folders of sweeps, or patterns such as `results/*/nightly`.

    Raises:
        reports.data.faults.ReportError: nothing matches, or a plan cannot be read.

    """
    from reports.analysis import runs

    return runs.load(*folders)


def steps(*folders: str | PathLike[str]) -> pd.DataFrame:
    """Return the steps of all completed runs: one row for each step of each federated group.

    `folder`, `combination`, `repeat`, `step` and `group` identify a row; `frame.attrs` as of `load`. Columns: `seconds`
    (of the group's slowest rank), `tokens`, `loss` (nats per token), `in_window`.

    Args:
        folders: as for `load`.

    """
    from reports.analysis import run_steps

    return run_steps.steps(*folders)


def scaling_table(*folders: str | PathLike[str], metric: str | None = None) -> pd.DataFrame:
    """Return the cells of all scaling tables: `value` with `low` and `high`, as in tables.csv.

    `folder`, `combination` and `metric` identify a row; `frame.attrs` as of `load`.

    Args:
        folders: as for `load`.
        metric: key of the only metric to return, such as `efficiency`.

    """
    from reports.analysis import scaling

    return scaling.scaling_table(*folders, metric=metric)


def compare(old: str | PathLike[str], new: str | PathLike[str]) -> pd.DataFrame:
    """Return what changed from the sweep in folder `old` to that in folder `new`, a row for each metric of each
    combination that both have.

    Columns are the axes (`axis_strategy`), and the fields of the figures of `xffl-bench compare --json`
    (docs/reference/json.md), of which `verdict` is one of regressed, improved, same, cannot-tell and not-comparable.

    Raises:
        ReportError: a folder is not a sweep, or its plan cannot be read.

    """
    from pathlib import Path

    from reports.nights.table import compared_frame

    return compared_frame(Path(old), Path(new))
